"""Recorded bodies give the graph that is known of them, in every order."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app import clock
from collectors.otlp import OtlpCollector
from collectors.otlp_body import JSON
from tests.support.otlp_http import BODIES, RECORDED, end_of
from tests.support.spans import (
    CLIENT,
    CONSUMER,
    INTERNAL,
    PROTOBUF,
    SERVER,
    attribute,
    calls,
    edges,
    look,
    nodes,
)

KINDS = {"internal": INTERNAL, "server": SERVER, "client": CLIENT, "consumer": CONSUMER}


def short(found):
    """Without addresses: redis is private to its caller because it listens on a loopback address."""
    return {name.partition("@")[0].replace("?", ""): numbers for name, numbers in found.items()}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("joins", ["once", "after each body"])
def test_the_eight_bodies_are_one_graph_in_any_order(seed, joins):
    bodies = [path.read_bytes() for path in BODIES]
    now = end_of(*bodies)
    random.Random(seed).shuffle(bodies)
    collector = OtlpCollector("test")
    for body in bodies:
        with clock.frozen_at(now):
            assert collector.ingest(body, PROTOBUF).rejected == 0
        if joins != "once":
            look(collector, now)
    snapshot = look(collector, now)
    assert short(calls(snapshot)) == {
        "user>gateway": (8, 1),
        "user>checkout": (6, 1),
        "gateway>catalog": (8, 1),
        "checkout>payments": (6, 1),
        "payments>redis": (5, 0),
    }
    answered = {name: one["server"] for name, one in edges(snapshot).items()}
    assert answered["gateway>catalog"] == 7
    assert answered["checkout>payments"] == 5
    assert nodes(snapshot) == {"gateway": (8, 1), "catalog": (8, 0), "checkout": (6, 1), "payments": (5, 0)}
    assert short(calls(look(collector, now + timedelta(seconds=15)))) == short(calls(snapshot))


def test_the_catalog_span_whose_parent_is_in_no_body_is_told_as_a_notice():
    bodies = [path.read_bytes() for path in BODIES]
    now = end_of(*bodies)
    collector = OtlpCollector("test")
    with clock.frozen_at(now):
        for body in bodies:
            collector.ingest(body, PROTOBUF)
    look(collector, now)
    assert any(
        note.startswith("1 server spans have a parent")
        for note in look(collector, now + timedelta(seconds=11)).notices
    )


def test_services_carry_namespace_workload_pod_and_version():
    body = next(path for path in BODIES if "gateway_1" in path.name).read_bytes()
    now = end_of(body)
    collector = OtlpCollector("test")
    with clock.frozen_at(now):
        collector.ingest(body, PROTOBUF)
    witness = look(collector, now).witnesses[0]
    gateway = next(party for party in witness.parties if party.name == "gateway")
    assert (gateway.namespace, gateway.workload, gateway.pod) == (
        "shop",
        "gateway",
        "gateway-6d4cf56db6-18101",
    )
    assert witness.nodes.versions == ("1.2.3",)


def test_json_bodies_of_the_sdk_join_although_the_child_comes_first():
    collector = OtlpCollector("test")
    with clock.frozen_at(datetime.fromtimestamp(1795440116, UTC)):
        for name in ("001.json", "002.json", "003.json.gz", "004.json.gz"):
            content = (RECORDED / "otlp" / f"json_sdk_v1_traces-{name}").read_bytes()
            assert collector.ingest(content, JSON, "gzip" if name.endswith("gz") else "").accepted == 1
    snapshot = look(collector, datetime.fromtimestamp(1795440130, UTC))
    assert calls(snapshot) == {"checkout>?payments": (2, 2), "user>checkout": (2, 2)}


TRACES = {
    "trace_by_id": [(1, 0), (1, 0), (1, 0), (1, 0), (1, 0)],
    "traces_operation": [(2, 1), (2, 0), (2, 1), (2, 1), (2, 0)],
    "traces_error_tag": [(3, 3), (3, 0), (3, 3), (3, 3), (3, 0)],
    "traces_http500_tag": [(3, 3), (3, 0), (3, 3), (3, 3), (3, 0)],
    "traces_min_duration": [(3, 0), (3, 0), (3, 0), (3, 0), (2, 0)],
    "traces_gateway": [(5, 1), (5, 0), (5, 1), (5, 1), (4, 0)],
}
NAMES = ["user>gateway", "gateway>catalog", "gateway>checkout", "checkout>payments", "payments>redis"]
UNANSWERED = {"traces_min_duration": 1, "traces_gateway": 1}


@pytest.mark.parametrize("name", TRACES)
def test_traces_of_a_jaeger_api_replay_to_their_graph(name):
    body = from_jaeger(
        json.loads((RECORDED / "traces" / "victoriatraces" / f"{name}.json").read_text())["body"]
    )
    snapshot = replayed(body)
    assert short(calls(snapshot)) == dict(zip(NAMES, TRACES[name], strict=True))
    asked = edges(snapshot)["checkout>payments"]
    assert asked["requests"] - asked["server"] == UNANSWERED.get(name, 0)


def test_a_trace_that_tempo_hands_out_as_protobuf_replays_to_its_graph():
    body = (RECORDED / "traces" / "tempo" / "trace_by_id_v1_protobuf.pb").read_bytes()
    expected = [(1, 1), (1, 0), (1, 1), (1, 1), (1, 0)]
    assert short(calls(replayed(body))) == dict(zip(NAMES, expected, strict=True))


def replayed(body):
    """All spans moved into one minute (recordings span more), then looked at."""
    request = ExportTraceServiceRequest.FromString(body)
    now = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)
    for span in (s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans):
        length = span.end_time_unix_nano - span.start_time_unix_nano
        span.end_time_unix_nano = int(now.timestamp() * 1e9) - 10**9
        span.start_time_unix_nano = span.end_time_unix_nano - length
    collector = OtlpCollector("test")
    with clock.frozen_at(now):
        collector.ingest(request.SerializeToString(), PROTOBUF)
    return look(collector, now)


def from_jaeger(answer):
    request = ExportTraceServiceRequest()
    for trace in answer["data"]:
        for one in trace["spans"]:
            process = trace["processes"][one["processID"]]
            group = request.resource_spans.add()
            group.resource.attributes.append(attribute("service.name", process["serviceName"]))
            group.resource.attributes.extend(attribute(tag["key"], tag["value"]) for tag in process["tags"])
            span = group.scope_spans.add().spans.add()
            tags = {tag["key"]: tag["value"] for tag in one["tags"]}
            span.trace_id, span.span_id = bytes.fromhex(one["traceID"]), bytes.fromhex(one["spanID"])
            for reference in one["references"] or []:
                span.parent_span_id = bytes.fromhex(reference["spanID"])
            span.kind = KINDS[tags["span.kind"]]
            span.start_time_unix_nano = one["startTime"] * 1000
            span.end_time_unix_nano = (one["startTime"] + one["duration"]) * 1000
            span.status.code = 2 if tags["error"] == "true" else 0
            span.attributes.extend(attribute(key, value) for key, value in tags.items())
    return request.SerializeToString()
