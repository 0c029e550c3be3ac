"""Objectives from files of four formats, and everything that is wrong with them told at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model.slo import Calendar, Objective, Rolling
from app.model.slo_spec import Events, Latency, Method, NativeLatency, Probe, RawRatio, Seen, Slo, Threshold
from app.specs import Specs, read
from tests.support.slo_files import NATIVE, OPENSLO, PYRRA, SLOTH, SLOTH_RESOURCE


def slos_of(*texts: str) -> tuple[Slo, ...]:
    found = read({f"{place}.yaml": text for place, text in enumerate(texts)})
    assert found.problems == ()
    return found.slos


def wrong(text: str) -> list[str]:
    return [str(problem) for problem in read({"f.yaml": text}).problems]


def test_a_sloth_file_with_inherited_labels_and_both_kinds_of_indicator():
    first, second = slos_of(SLOTH)
    assert first.id == "shop/availability"
    assert first.objective == Objective(Decimal("0.999"))
    assert first.period == Rolling(timedelta(days=30))
    assert first.labels == {"owner": "team-a", "tier": "1"}
    assert isinstance(first.indicator, Events)
    assert first.indicator.total == 'sum(rate(http_requests_total{job="shop"}[{{.window}}]))'
    assert (first.alerting.page, first.alerting.ticket) == (True, False)
    assert first.alerting.page_labels == {"severity": "page"}
    assert second.indicator == RawRatio("avg_over_time(stale_ratio[{{.window}}])")
    assert (first.origin.file, first.origin.line) == ("0.yaml", 6)


def test_the_sloth_resource_says_the_same_in_other_words():
    (only,) = slos_of(SLOTH_RESOURCE)
    assert only.indicator == Events("sum(rate(all[{{.window}}]))", bad="sum(rate(bad[{{.window}}]))")


@pytest.mark.parametrize(
    ("indicator", "expected"),
    [
        ('{ratio: {errors: {metric: e}, total: {metric: t}, grouping: [job]}}', Events("t", bad="e")),
        ("""{latency: {success: {metric: 'd_bucket{le="1"}'}, total: {metric: d_count}}}""",
         Latency('d_bucket{le="1"}', "d_count", 1.0)),
        ("{latencyNative: {latency: 200ms, total: {metric: d}}}", NativeLatency("d", 0.2)),
        ("{bool_gauge: {metric: up}}", Probe("up")),
    ],
)  # fmt: skip
def test_the_four_indicators_of_pyrra(indicator, expected):
    (only,) = slos_of(PYRRA.format(name="one", indicator=indicator))
    assert only.indicator == expected
    assert (only.service, only.labels, only.annotations) == (
        "shop", {"service": "shop"}, {"runbook": "https://example.com"},
    )  # fmt: skip
    assert only.period == Rolling(timedelta(days=28))
    assert only.alerting.on_absence


def test_openslo_objects_refer_to_each_other_across_files():
    parts = OPENSLO.split("---")
    (only,) = slos_of(parts[-1], *parts[:-1])
    assert only.indicator == Events("http_requests_total", bad='http_requests_total{code=~"5.."}')
    assert (only.method, only.slice_length, only.slice_target) == (
        Method.TIMESLICES, timedelta(minutes=1), Decimal("0.95"),
    )  # fmt: skip
    assert isinstance(only.period, Calendar)
    begin, end = only.period.span(datetime(2026, 11, 23, tzinfo=UTC))
    assert (begin.isoformat(), end.isoformat()) == ("2026-10-31T23:00:00+00:00", "2026-11-30T23:00:00+00:00")
    (condition,) = only.alerting.conditions
    assert (condition.factor, condition.window, condition.after) == (
        2,
        timedelta(hours=1),
        timedelta(minutes=5),
    )
    assert only.alerting.receivers == ("slack",)


def test_a_condition_the_wrong_way_round_is_understood_and_told():
    notes = [note.message for note in read({"f.yaml": OPENSLO}).notes]
    assert any("burns faster than" in note for note in notes)


def test_our_own_form_holds_every_indicator():
    found = slos_of(NATIVE)
    assert [type(one.indicator) for one in found] == [Events, Latency, NativeLatency, Probe, Threshold, Seen]
    assert found[2].group_by == ("route",)


def test_everything_wrong_is_told_at_once_with_its_line():
    text = """
slos:
  - {name: a, service: shop, objective: 100, events: {total: t, bad: b, good: g}}
  - {name: "b b", service: shop, objective: 0, probe: "sum("}
  - {name: c, service: shop, objektive: 99, latency: {within: d_bucket, total: d_count}}
  - {name: d, service: shop, objective: 99, window: 5s, probe: up, seen: {element: x}}
"""
    told = wrong(text)
    for line, words in (
        (3, "slos[0].objective: an objective of 100 % is none"),
        (3, "slos[0].events: must hold either bad or good"),
        (4, "slos[1].name: 'b b' is no name"),
        (4, "slos[1].objective: an objective of 0 % is none"),
        (4, "slos[1].probe: is not PromQL"),
        (5, "slos[2].objektive: is not known here; did you mean objective?"),
        (5, "slos[2]: objective is missing"),
        (5, 'slos[2].latency.within: needs one matcher le="…"'),
        (6, "slos[3].window: a period of 0:00:05 is too short"),
        (6, "slos[3]: must hold exactly one of"),
    ):
        assert any(one.startswith(f"f.yaml:{line}: {words}") for one in told), (line, words, told)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds nothing"),
        ("a: [", "is not YAML"),
        ("[1]", "must be a mapping"),
        ("apiVersion: openslo/v9", "'openslo/v9' is not known"),
        ("kind: x", "is none of"),
        (PYRRA.format(name="x", indicator="{ratio: {errors: {metric: 'rate(e[5m])'}, total: {metric: t}}}"),
         "must be a plain selector"),
        (SLOTH.replace("[{{.window}}]))\n        total", "[5m]))\n        total"), "holds no {{.window}}"),
        (NATIVE + NATIVE[6:].replace("\nslos:", ""), "is there twice, first at f.yaml:3"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_says_why(text, words):
    assert any(words in one for one in wrong(text)), wrong(text)


@given(st.text(max_size=200) | st.sampled_from([SLOTH, OPENSLO, NATIVE]).flatmap(
    lambda text: st.integers(0, len(text) - 1).map(lambda cut: text[:cut] + text[cut + 7 :])
))  # fmt: skip
def test_no_text_is_too_broken_to_be_answered(text):
    found = read({"f.yaml": text})
    assert isinstance(found, Specs)
    assert found.slos or found.problems
