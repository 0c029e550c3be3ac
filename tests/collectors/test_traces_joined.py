"""Pulled traces end in the same joiner as pushed ones: rates are right, and nothing is counted twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app import clock
from app.config import TraceBackend
from app.errors import SourceStarting, SourceUnavailable
from app.model.example import Why
from app.model.fleet import Snapshot
from app.model.series import Window
from collectors import load
from collectors.otlp import OtlpCollector
from collectors.span_pulled import Pulled
from tests.support.fake_traces import FakeJaeger, FakeTempo, FakeTraces, Stored, call, steady
from tests.support.spans import PROTOBUF, body, calls, edges, nodes, trace_bytes

BEGIN = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
FAKES = {"jaeger": FakeJaeger, "tempo": FakeTempo}
EDGES = ("user>gateway", "gateway>catalog", "catalog>postgresql@pg-1:5432")


@pytest.fixture(params=sorted(FAKES))
def backend(request: pytest.FixtureRequest) -> Iterator[FakeTraces]:
    with FAKES[request.param]() as fake:
        yield fake


def kind_of(backend: FakeTraces) -> str:
    return "jaeger" if isinstance(backend, FakeJaeger) else "tempo"


class Site:
    """A joiner and its backends, driven by a clock of our own."""

    def __init__(self, *backends: FakeTraces, **settings) -> None:
        self.backends = backends
        given = [
            TraceBackend(kind=kind_of(one), url=one.url, name=f"b{at}", **settings)
            for at, one in enumerate(backends)
        ]
        self.joiner = OtlpCollector("test", pulled=Pulled(given[0].look_back) if given else None)
        self.collectors = [load(one.kind)("test", one, sink=self.joiner) for one in given]
        self.pulled: list[Snapshot] = []

    def at(self, seconds: float, *, pull: bool = True) -> Snapshot:
        """The picture at a moment, after the backends were looked at."""
        now = BEGIN + timedelta(seconds=seconds)
        with clock.frozen_at(now):
            for one, backend in zip(self.collectors, self.backends, strict=True) if pull else ():
                backend.now = now
                self.pulled.append(one.pull(Window(now - timedelta(seconds=60), now)))
            return self.joiner.pull(Window(now - timedelta(seconds=60), now))

    def run(self, begin: int, end: int, step: int = 15) -> Snapshot:
        """Looks every `step` seconds; the picture after the last."""
        for seconds in range(begin, end, step):
            self.at(seconds)
        return self.at(end)

    def push(self, spans, at: datetime, *, arrives: datetime) -> None:
        with clock.frozen_at(arrives):
            self.joiner.ingest(body(*spans, now=at), PROTOBUF)


def rates(snapshot: Snapshot) -> dict[str, float]:
    """Requests a second of each edge."""
    window = snapshot.witnesses[0].window.total_seconds()
    return {name: requests / window for name, (requests, _) in calls(snapshot).items()}


@pytest.mark.parametrize("step", [15, *(pytest.param(one, marks=pytest.mark.soak) for one in (10, 23))])
def test_a_steady_stream_that_is_only_pulled_has_its_true_rate(backend, step):
    steady([backend], begin=BEGIN, seconds=170, per_second=2)
    site = Site(backend)
    site.run(60, 130, step)
    for seconds in range(140, 170, 10):
        found = rates(site.at(seconds))
        assert set(found) == set(EDGES)
        for name in EDGES:
            assert found[name] == pytest.approx(2, rel=0.05), name


def test_the_picture_of_pulled_traces_says_how_old_it_is(backend):
    steady([backend], begin=BEGIN, seconds=120, per_second=2)
    site = Site(backend)
    witness = site.run(60, 105).witnesses[0]
    assert witness.as_of == BEGIN + timedelta(seconds=90)  # 15 s to settle, whole steps of ten
    assert witness.window == timedelta(seconds=60)


def test_traces_that_are_pushed_and_pulled_are_counted_once(backend):
    steady([backend], begin=BEGIN, seconds=106, per_second=2)
    site = Site(backend)
    for at in range(212):
        moment = BEGIN + timedelta(seconds=at / 2)
        site.push(call(at + 1), moment, arrives=moment + timedelta(seconds=2))
        if at % 30 == 0:
            picture = site.at(at / 2)
    assert rates(picture) == pytest.approx(dict.fromkeys(EDGES, 2.0), rel=0.05)
    # nothing new was pulled: the picture is as fresh as the pushed spans make it
    assert picture.as_of - picture.witnesses[0].as_of < timedelta(seconds=5)


def test_services_that_are_pushed_and_others_that_are_pulled_stand_in_one_window(backend):
    steady([backend], begin=BEGIN, seconds=106, per_second=2, services=("billing", "ledger"))
    site = Site(backend)
    for at in range(212):
        moment = BEGIN + timedelta(seconds=at / 2)
        site.push(call(10_000 + at), moment, arrives=moment + timedelta(seconds=2))
        if at % 30 == 0:
            site.at(at / 2)
    picture = site.at(105)
    assert rates(picture)["gateway>catalog"] == pytest.approx(2.0, rel=0.05)
    assert rates(picture)["billing>ledger"] == pytest.approx(2.0, rel=0.05)


def test_two_backends_that_hold_the_same_traces_count_once():
    with FakeJaeger() as jaeger, FakeTempo() as tempo:
        steady([jaeger, tempo], begin=BEGIN, seconds=110, per_second=2)
        picture = Site(jaeger, tempo).run(60, 105)
    assert rates(picture) == pytest.approx(dict.fromkeys(EDGES, 2.0), rel=0.05)


def test_a_half_that_comes_late_completes_its_call_and_adds_none(backend):
    backend.add(*call(1), now=BEGIN)
    backend.add(*call(2), now=BEGIN)
    key = trace_bytes(call(2)[0].trace).hex()
    complete = backend.traces[key]
    backend.traces[key] = Stored(key, complete.groups[:2])
    site = Site(backend)
    first = site.at(30)
    assert calls(first)["gateway>catalog"] == (2, 0)
    assert edges(first)["gateway>catalog"]["server"] == 1
    assert nodes(first)["catalog"] == (1, 0)
    backend.traces[key] = complete
    second = site.run(45, 60)
    assert calls(second)["gateway>catalog"] == (2, 0)
    assert edges(second)["gateway>catalog"]["server"] == 2
    assert nodes(second)["catalog"] == (2, 0)


def test_a_complete_trace_is_not_fetched_again(backend):
    steady([backend], begin=BEGIN, seconds=20, per_second=1)
    Site(backend).run(30, 90)
    by_id = len(backend.asked("/api/traces/"))
    assert by_id == (0 if isinstance(backend, FakeJaeger) else 20)


def test_a_trace_that_stays_without_its_parent_is_given_up_after_a_few_times(backend):
    backend.add(*call(1)[1:], now=BEGIN)
    Site(backend).run(30, 150)
    again = len(backend.asked("/api/traces/"))
    assert again == (3 if isinstance(backend, FakeJaeger) else 4)


def test_more_traces_than_may_be_read_are_told_and_their_rates_stay_right(backend):
    steady([backend], begin=BEGIN, seconds=92, per_second=20)
    site = Site(backend, max_traces=100)
    for collector in site.collectors:
        collector.chance.seed(7)
    picture = site.run(60, 105)
    assert any("stand for all" in note for note in site.pulled[-1].notices)
    witness = picture.witnesses[0]
    assert witness.sampling_ratio < 0.7
    # 20 a second for a minute, of which about 100 of each 300 were read: the count itself varies by chance
    assert rates(picture)["gateway>catalog"] == pytest.approx(20, rel=0.05)
    assert rates(picture)["user>gateway"] == pytest.approx(20, rel=0.05)


def test_errors_and_sampling_thresholds_come_through(backend):
    spans = [one for number in (1, 2) for one in call(number, error=number == 2)]
    backend.add(*[replace(one, tracestate="ot=th:c") for one in spans], now=BEGIN)
    assert calls(Site(backend).at(40))["gateway>catalog"] == (8, 4)


def test_traces_that_come_to_light_late_are_read_by_the_next_look(backend):
    steady([backend], begin=BEGIN, seconds=60, per_second=2)
    site = Site(backend)
    for number in (901, 902):
        backend.add(*call(number), now=BEGIN + timedelta(seconds=55))
    late = {key: backend.traces.pop(key) for key in [trace_bytes(call(n)[0].trace).hex() for n in (901, 902)]}
    site.at(75)
    backend.traces |= late
    # of the steady ones, the first of the window ended just before it
    assert calls(site.at(90))["gateway>catalog"] == (99 + 2, 0)


def test_a_chosen_call_of_a_pulled_trace_is_kept_with_its_whole_trace(backend):
    for number in range(1, 100):
        backend.add(*call(number, error=number == 50), now=BEGIN + timedelta(milliseconds=10 * number))
    site = Site(backend)
    site.at(30)
    with clock.frozen_at(BEGIN + timedelta(seconds=55)):
        found = site.joiner.examples()
    (failed,) = [one for one in found if any(told.why is Why.FAILED for told in one.calls)]
    trace = failed.trace
    assert (trace.trace_id, len(trace.spans)) == (trace_bytes(call(50)[0].trace).hex(), 4)
    assert {one.service for one in trace.spans} == {"gateway", "catalog"}
    database = next(one for one in trace.spans if "db.system.name" in one.attributes)
    assert (database.attributes["server.address"], database.duration) == ("pg-1", 5_000_000)
    assert site.joiner.totals["unkept"] == 0


def test_before_the_first_look_the_joiner_says_that_it_starts_and_not_that_nothing_is_there(backend):
    site = Site(backend)
    with pytest.raises(SourceStarting):
        site.at(0, pull=False)


def test_without_any_backend_the_last_picture_stays_and_then_the_joiner_is_down(backend):
    steady([backend], begin=BEGIN, seconds=100, per_second=2)
    site = Site(backend)
    alive = site.run(60, 90)
    backend.server.down()
    for seconds in (100, 150):
        with pytest.raises(SourceUnavailable):
            site.at(seconds)
        assert rates(site.at(seconds, pull=False)) == rates(alive)
        assert site.at(seconds, pull=False).witnesses[0].as_of == alive.witnesses[0].as_of
    with pytest.raises(SourceUnavailable, match="no trace backend has been read beyond"):
        site.at(300, pull=False)


def test_what_was_not_read_for_too_long_is_told(backend):
    steady([backend], begin=BEGIN, seconds=20, per_second=1)
    site = Site(backend)
    site.at(40)
    site.at(400)
    assert any("were not read" in note for note in site.pulled[-1].notices)
