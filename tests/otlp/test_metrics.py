"""`/metrics` says what became of the spans that this process received."""

from __future__ import annotations

import pytest

from app.spans import SharedSpans
from collectors.otlp import OtlpCollector
from tests.support.spans import CLIENT, NOW, S, look, take
from tests.support.web import make_site

SERVED = ("app.api.probes:blueprint",)


def metrics(site):
    return site.client().get("/metrics", environ_base={"REMOTE_ADDR": "127.0.0.1"}).get_data(as_text=True)


@pytest.mark.parametrize("shared", [False, True])
def test_spans_are_counted_by_what_became_of_them(tmp_path, shared):
    alone = OtlpCollector("test")
    receiver = SharedSpans(alone, "redis://127.0.0.1:1") if shared else alone
    site = make_site(tmp_path, blueprints=SERVED, otlp=receiver)
    assert 'what="spans"' not in metrics(site)
    take(alone, S("a", CLIENT), S("a", CLIENT), S("a", CLIENT, id=2, age=3600))
    look(alone, NOW)
    text = metrics(site)
    assert "# TYPE quarterdeck_otlp_total counter" in text
    for what, count in {"spans": 3, "late": 1, "doubles": 1}.items():
        assert f'quarterdeck_otlp_total{{what="{what}"}} {count}\n' in text


def test_a_process_without_a_receiver_counts_no_spans(tmp_path):
    assert "quarterdeck_otlp_total{" not in metrics(make_site(tmp_path, blueprints=SERVED))
