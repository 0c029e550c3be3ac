"""Example traces out of bodies: which calls are chosen, what is found of them, what bounds it."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app import clock
from app.model.example import Why
from app.model.trace import Outcome
from collectors import span_keep
from collectors.otlp import OtlpCollector
from collectors.otlp_body import JSON
from collectors.span_choice import Choice
from tests.support.otlp_http import BODIES, RECORDED, end_of
from tests.support.spans import CLIENT, NOW, PROTOBUF, SERVER, S, body, look, take

LATER = NOW + timedelta(seconds=25)


@pytest.fixture
def collector():
    return OtlpCollector("test")


def call(trace, *, seconds=0.1, error=False, caller="web", callee="pay", **attributes):
    common = {"trace": trace, "seconds": seconds, "error": error}
    status = {"http.response.status_code": 500 if error else 200}
    return (
        S(caller, CLIENT, id=1, **common, attributes={**status, **attributes}),
        S(callee, SERVER, id=2, parent=1, **common, attributes=status),
    )


def examples(collector, at=LATER):
    with clock.frozen_at(at):
        return collector.examples()


def whys(found):
    return sorted(
        (int(one.trace.trace_id, 16), str(told.why), told.caller.name, told.callee.name)
        for one in found
        for told in one.calls
    )


def test_the_slowest_and_the_failed_calls_of_an_edge_are_kept_with_all_spans_of_their_trace(collector):
    for number in range(1, 9):
        take(collector, *call(number, seconds=number / 10, error=number == 3))
        look(collector)
    found = examples(collector)
    slow = [one for one in whys(found) if one[1] == "slow"]
    assert slow == [(7, "slow", "web", "pay"), (8, "slow", "web", "pay")]
    assert (3, "failed", "web", "pay") in whys(found)
    slowest = next(one for one in found if int(one.trace.trace_id, 16) == 8)
    assert sorted((span.service, span.span_id) for span in slowest.trace.spans) == [
        ("pay", f"{2:016x}"),
        ("web", f"{1:016x}"),
    ]
    assert slowest.calls[0].duration == pytest.approx(0.8)
    assert (slowest.trace.cluster, slowest.calls[0].span_id) == ("test", f"{1:016x}")


def test_each_example_is_handed_out_once_and_not_before_its_trace_has_settled(collector):
    take(collector, *call(1))
    look(collector)
    assert examples(collector, NOW + timedelta(seconds=10)) == []
    assert len(examples(collector)) == 1
    assert examples(collector) == []


def test_spans_that_come_after_the_call_was_chosen_are_part_of_its_trace(collector):
    take(collector, *call(1))
    look(collector)
    late = S("db", SERVER, id=9, parent=2, trace=1, age=-8)
    take(collector, late, at=NOW + timedelta(seconds=9))
    (found,) = examples(collector)
    assert {span.service for span in found.trace.spans} == {"web", "pay", "db"}


def test_a_call_of_usual_length_is_kept_once_the_edge_has_shown_what_is_usual(collector):
    for number in range(1, 30):
        take(collector, *call(number, seconds=0.1 if number % 4 else 2.0))
        look(collector)
    typical = [one for one in examples(collector) if any(told.why is Why.TYPICAL for told in one.calls)]
    assert len(typical) == 1
    assert next(told.duration for told in typical[0].calls if told.why is Why.TYPICAL) == pytest.approx(0.1)


def test_secrets_are_taken_out_and_long_values_cut(collector):
    take(
        collector,
        *call(
            1,
            **{
                "http.request.header.authorization": "Bearer abcdefghijklmnop",
                "url.full": "https://bob:hunter2@pay.shop/charge?token=s3cret&page=2",
                "db.query.text": "SELECT " + "x" * 5000,
            },
        ),
    )
    look(collector)
    (found,) = examples(collector)
    told = next(span for span in found.trace.spans if span.service == "web").attributes
    assert told["http.request.header.authorization"] == "(hidden)"
    assert told["url.full"] == "https://(hidden)@pay.shop/charge?token=(hidden)&page=2"
    assert len(str(told["db.query.text"])) == 512


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_recorded_bodies_of_an_sdk_give_whole_traces(collector, encoding):
    bodies = [path.read_bytes() for path in BODIES]
    now = end_of(*bodies)
    with clock.frozen_at(now):
        for content in bodies:
            collector.ingest(gzip.compress(content) if encoding else content, PROTOBUF, encoding)
    look(collector, now)
    found = examples(collector, now + timedelta(seconds=25))
    known = Counter()
    for content in bodies:
        request = ExportTraceServiceRequest.FromString(content)
        known.update(s.trace_id.hex() for r in request.resource_spans for g in r.scope_spans for s in g.spans)
    assert len(found) >= 4
    for one in found:
        assert len(one.trace.spans) == known[one.trace.trace_id]
    edges = {(told.caller.name, told.callee.name) for one in found for told in one.calls}
    assert {("user", "gateway"), ("gateway", "catalog"), ("checkout", "payments")} <= edges
    assert any(told.why is Why.FAILED and told.failed for one in found for told in one.calls)


def test_json_bodies_give_whole_traces_too(collector):
    now = datetime.fromtimestamp(1795440116, UTC)
    with clock.frozen_at(now):
        for name in ("001.json", "002.json", "003.json.gz", "004.json.gz"):
            content = (RECORDED / "otlp" / f"json_sdk_v1_traces-{name}").read_bytes()
            collector.ingest(content, JSON, "gzip" if name.endswith("gz") else "")
    look(collector, now)
    found = examples(collector, now + timedelta(seconds=25))
    assert {len(one.trace.spans) for one in found} == {2}
    assert {span.name for one in found for span in one.trace.spans}


def test_only_the_spans_wanted_are_cut_out_of_a_large_body(collector):
    ids = [random.Random(number).getrandbits(127) for number in range(200)]
    spans = [span for trace in ids for span in call(trace, seconds=3.0 if trace == ids[77] else 0.1)]
    with clock.frozen_at(NOW):
        collector.ingest(gzip.compress(body(*spans)), PROTOBUF, "gzip")
    look(collector)
    (found,) = examples(collector)
    assert (int(found.trace.trace_id, 16), len(found.trace.spans)) == (ids[77], 2)


def test_the_bodies_kept_are_bounded_and_what_is_gone_makes_room_for_another_call(collector):
    collector._keeper = span_keep.Keeper("test", most_bytes=2_000)
    for number in range(1, 40):
        take(collector, *call(number, seconds=1 / number))
        look(collector)
    assert 0 < collector._keeper.held <= 2_000
    assert examples(collector) == []
    take(collector, *call(99, seconds=0.001), at=LATER)
    look(collector, LATER)
    assert [one[0] for one in whys(examples(collector, LATER + timedelta(seconds=25)))] == [99]


def test_one_round_costs_a_bounded_number_of_traces_and_the_rest_comes_later(collector):
    for number in range(1, 100):
        take(collector, *call(number, caller=f"c{number}", callee=f"s{number}"))
    look(collector)
    first, second = examples(collector), examples(collector)
    assert (len(first), len(second)) == (25, 25)
    assert {one.trace.trace_id for one in first}.isdisjoint(one.trace.trace_id for one in second)


def test_a_trace_of_twenty_thousand_spans_is_kept_with_two_thousand_and_says_how_many_are_missing():
    collector = OtlpCollector("test", max_body_bytes=64 << 20)
    many = [S("web", CLIENT, id=n + 10, parent=1, trace=1, seconds=0.001) for n in range(20_000)]
    with clock.frozen_at(NOW):
        for first in range(0, len(many), 5_000):
            collector.ingest(gzip.compress(body(*many[first : first + 5_000]), 1), PROTOBUF, "gzip")
        collector.ingest(body(*call(1)), PROTOBUF)
    look(collector)
    (found,) = examples(collector)
    assert len(found.trace.spans) == 2_000
    assert found.trace.cut == 18_002
    assert f"{1:016x}" in {span.span_id for span in found.trace.spans}


def test_a_choice_holds_five_calls_of_an_edge_in_ten_minutes_whatever_comes():
    choice, rnd = Choice(), np.random.default_rng(1)
    taken: Counter[tuple[int, Why]] = Counter()
    for second in range(1, 590, 5):
        choice.begin(second * 10**9)
        n = 400
        choice.offer(
            rnd.integers(0, 8, n),
            rnd.integers(1, 2**63, n).astype(np.uint64),
            rnd.integers(20, 90, n),
            rnd.choice([Outcome.OK, Outcome.FAILED, Outcome.CALLER], n).astype(np.int8),
        )
        ripe = choice.ripe((second - 20) * 10**9, 500)
        choice.settle(ripe, [])
        taken.update((one.row, one.why) for one in ripe)
    assert {row for row, _ in taken} == set(range(8))
    for (_, why), count in taken.items():
        assert count <= {Why.SLOW: 4, Why.FAILED: 2, Why.TYPICAL: 1}[why]
