from __future__ import annotations

from datetime import timedelta

import pytest

from app.config import Cluster, Prometheus
from app.model.fleet import Freshness, SourceStatus
from app.understand.freshness import judged, patience
from tests.support.factories import NOON

SECOND = timedelta(seconds=1)


def asked_every(seconds: int) -> Cluster:
    return Cluster(name="demo", prometheus=Prometheus(url="http://127.0.0.1:9", interval=seconds * SECOND))


@pytest.mark.parametrize(
    ("source", "interval", "allowed"),
    [("demo/prometheus", 5, 30), ("demo/prometheus", 60, 120), ("demo/kubernetes", 5, 90)],
)
def test_a_source_that_stopped_talking_is_late_since_its_patience_ended(source, interval, allowed):
    one = Freshness(source, NOON, SourceStatus.OK)
    rules = patience([asked_every(interval)])
    assert judged([one], NOON + allowed * SECOND, rules) == [one]
    (late,) = judged([one], NOON + (allowed + 1) * SECOND, rules)
    assert (late.status, late.since, late.as_of) == (SourceStatus.LATE, NOON + allowed * SECOND, NOON)


@pytest.mark.parametrize("status", [one for one in SourceStatus if one is not SourceStatus.OK])
def test_what_a_source_says_of_itself_stands(status):
    one = Freshness("demo/prometheus", NOON, status, since=NOON)
    assert judged([one], NOON + timedelta(hours=1), {}) == [one]


def test_a_source_that_was_never_heard_is_not_late():
    one = Freshness("demo/prometheus", None, SourceStatus.OK)
    assert judged([one], NOON, {}) == [one]
