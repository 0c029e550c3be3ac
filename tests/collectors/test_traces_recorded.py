"""Recorded answers of VictoriaTraces and Tempo, served again and pulled: exactly the calls and errors known of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app import clock
from app.config import TraceBackend
from app.errors import SourceNonsense
from app.model.series import Window
from collectors import load
from collectors.jaeger_api import JaegerApi, microseconds
from collectors.otlp import OtlpCollector
from collectors.span_pulled import Pulled
from collectors.tempo_api import TempoApi
from tests.support import recorded
from tests.support.fake_traces import FakeTempo
from tests.support.http_fake import HttpFake, Reply, Request
from tests.support.spans import calls, edges

JAEGER, TEMPO = recorded.ROOT / "traces/victoriatraces", recorded.ROOT / "traces/tempo"
BEGIN = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)
NAMES = ["user>gateway", "gateway>catalog", "gateway>checkout", "checkout>payments", "payments>redis"]
TRACES = {
    "trace_by_id": [(1, 0), (1, 0), (1, 0), (1, 0), (1, 0)],
    "traces_operation": [(2, 1), (2, 0), (2, 1), (2, 1), (2, 0)],
    "traces_error_tag": [(3, 3), (3, 0), (3, 3), (3, 3), (3, 0)],
    "traces_http500_tag": [(3, 3), (3, 0), (3, 3), (3, 3), (3, 0)],
    "traces_min_duration": [(3, 0), (3, 0), (3, 0), (3, 0), (2, 0)],
    "traces_gateway": [(5, 1), (5, 0), (5, 1), (5, 1), (4, 0)],
}
UNANSWERED = {"traces_min_duration": 1, "traces_gateway": 1}


def replay(recording: str) -> HttpFake:
    """A Jaeger API that has the traces of a recording, moved into one minute; times and services are honoured."""
    services = recorded.body(recorded.load(JAEGER / "services.json"))
    traces = recorded.load(JAEGER / f"{recording}.json")["body"]["data"]
    for trace in traces:
        shift = microseconds(BEGIN) - min(span["startTime"] for span in trace["spans"])
        for span in trace["spans"]:
            span["startTime"] += shift

    def answer(request: Request) -> Reply:
        if request.path == "/select/jaeger/api/services":
            return Reply(200, services)
        if request.path != "/select/jaeger/api/traces":
            return Reply(200, recorded.body(recorded.load(JAEGER / "trace_unknown.json")))
        start, end = int(request.params["start"]), int(request.params["end"])
        found = [one for one in traces if _of(one, request.params["service"], start, end)]
        return Reply(200, json.dumps({"data": found, "errors": None, "limit": 0}).encode())

    return HttpFake(answer)


def _of(trace: Any, service: str, start: int, end: int) -> bool:
    names = {key: one["serviceName"] for key, one in trace["processes"].items()}
    return any(
        start <= one["startTime"] <= end and names[one["processID"]] == service for one in trace["spans"]
    )


def pulled(kind: str, url: str, *, looks: int = 1):
    joiner = OtlpCollector("test", pulled=Pulled(timedelta(minutes=2)))
    collector = load(kind)("test", TraceBackend(kind=kind, url=url), sink=joiner)
    for number in range(looks):
        now = BEGIN + timedelta(seconds=30 + 15 * number)
        with clock.frozen_at(now):
            collector.pull(Window(now - timedelta(seconds=60), now))
            snapshot = joiner.pull(Window(now - timedelta(seconds=60), now))
    collector.close()
    return snapshot


def short(found: dict[str, Any]) -> dict[str, Any]:
    """Without addresses: redis is private to its caller because it listens on a loopback address."""
    return {name.partition("@")[0].replace("?", ""): numbers for name, numbers in found.items()}


@pytest.mark.parametrize("looks", [1, 3])
@pytest.mark.parametrize("name", TRACES)
def test_recorded_traces_of_victoriatraces_give_exactly_their_calls_and_errors(name, looks):
    with replay(name) as server:
        snapshot = pulled("jaeger", f"{server.url}/select/jaeger", looks=looks)
    assert short(calls(snapshot)) == dict(zip(NAMES, TRACES[name], strict=True))
    asked = edges(snapshot)["checkout>payments"]
    assert asked["requests"] - asked["server"] == UNANSWERED.get(name, 0)


def test_a_recorded_trace_of_tempo_gives_exactly_its_calls_and_errors():
    with FakeTempo() as tempo:
        tempo.add_body(_moved((TEMPO / "trace_by_id_v1_protobuf.pb").read_bytes()))
        snapshot = pulled("tempo", tempo.url)
        assert tempo.asked("/api/traces/")[0].headers["accept"] == "application/protobuf"
    assert short(calls(snapshot)) == dict(zip(NAMES, [(1, 1), (1, 0), (1, 1), (1, 1), (1, 0)], strict=True))


def _moved(body: bytes) -> bytes:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest.FromString(body)
    spans = [one for group in request.resource_spans for scope in group.scope_spans for one in scope.spans]
    shift = microseconds(BEGIN) * 1000 - min(one.start_time_unix_nano for one in spans)
    for one in spans:
        one.start_time_unix_nano += shift
        one.end_time_unix_nano += shift
    return request.SerializeToString()


def serving(path) -> HttpFake:
    said = recorded.load(path)
    headers = {key: value for key, value in said["headers"].items() if key.lower() == "content-type"}
    body = recorded.body(said) if "text" in said or "body" in said else b""
    return HttpFake(lambda _request: Reply(said["status"], body, headers))


MINUTE = Window(BEGIN, BEGIN + timedelta(minutes=1))
ID = "6e60593e4eb3fb5679138929b4d65b51"


def test_times_go_to_a_jaeger_api_in_microseconds():
    assert microseconds(datetime(2026, 11, 23, 11, 4, 42, 331051, tzinfo=UTC)) == 1795431882331051
    with serving(JAEGER / "traces_empty.json") as server:
        api = JaegerApi(TraceBackend(kind="jaeger", url=server.url))
        assert api.traces("gateway", MINUTE, limit=5) == []
        sent = server.requests[0].params
    assert (len(sent["start"]), int(sent["end"]) - int(sent["start"])) == (16, 60_000_000)


@pytest.mark.parametrize("name", ["trace_unknown", "traces_empty", "traces_milliseconds_mistake"])
def test_an_empty_answer_of_a_jaeger_api_is_a_trace_that_is_not_there(name):
    with serving(JAEGER / f"{name}.json") as server:
        assert JaegerApi(TraceBackend(kind="jaeger", url=server.url)).trace(ID) is None


@pytest.mark.parametrize("name", ["traces_bad_limit", "traces_no_service"])
def test_a_refusal_in_plain_text_keeps_its_words(name):
    said = recorded.load(JAEGER / f"{name}.json")["text"].strip()[:60]
    with serving(JAEGER / f"{name}.json") as server, pytest.raises(SourceNonsense) as caught:
        JaegerApi(TraceBackend(kind="jaeger", url=server.url)).services()
    assert said in str(caught.value)


def test_ids_that_tempo_cuts_short_get_their_zeros_back():
    with serving(TEMPO / "search_no_query.json") as server:
        hits = TempoApi(TraceBackend(kind="tempo", url=server.url)).search(MINUTE, limit=3)
    assert [hit.trace_id for hit in hits] == [
        "0084093181508d87ab66996d72bdb86a",
        "055ef8166db2c97b9a9a5998d2430a9e",
        "06ff601084efed20dad88c7c2c26582e",
    ]
    assert hits[0].start == 1795439715938828321


def test_nothing_found_and_nothing_known_are_no_errors_of_tempo():
    with serving(TEMPO / "search_empty.json") as server:
        assert TempoApi(TraceBackend(kind="tempo", url=server.url)).search(MINUTE, limit=3) == []
    with serving(TEMPO / "trace_unknown_v1.json") as server:
        assert TempoApi(TraceBackend(kind="tempo", url=server.url)).trace(ID) is None


def test_an_error_of_tempo_is_told_in_its_own_words():
    with serving(TEMPO / "err400_traceql.json") as server, pytest.raises(SourceNonsense, match="parse error"):
        TempoApi(TraceBackend(kind="tempo", url=server.url)).search(MINUTE, limit=3)


def test_a_search_over_more_than_a_week_is_asked_in_pieces():
    with FakeTempo() as tempo:
        api = TempoApi(TraceBackend(kind="tempo", url=tempo.url))
        assert api.search(Window(BEGIN - timedelta(days=20), BEGIN), limit=3) == []
        assert len(tempo.asked("/api/search")) == 3
