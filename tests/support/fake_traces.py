"""Trace backends of a test: a Jaeger API and a Tempo over the same spans, which become visible as time goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.http_fake import HttpFake, Reply, Request
from tests.support.spans import NOW, S, request

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
TEXT = {"Content-Type": "text/plain; charset=utf-8"}


@dataclass
class Stored:
    """One trace: its groups (a resource with one span) as OTLP has them."""

    trace_id: str
    groups: list[Any] = field(default_factory=list)

    @cached_property
    def spans(self) -> list[tuple[str, int, int]]:
        """(service, start, end) of each span, in ns."""
        return [
            (_service(group), one.start_time_unix_nano, one.end_time_unix_nano)
            for group in self.groups
            for one in group.scope_spans[0].spans
        ]

    @cached_property
    def start(self) -> int:
        """When the first span began, in ns."""
        return min(start for _, start, _ in self.spans)

    @cached_property
    def end(self) -> int:
        """When the last span ended, in ns."""
        return max(end for _, _, end in self.spans)

    def until(self, until: int) -> Stored | None:
        """The trace with those spans that ended before `until`."""
        if self.end <= until:
            return self
        kept = [one for one, (_, _, end) in zip(self.groups, self.spans, strict=True) if end <= until]
        return Stored(self.trace_id, kept) if kept else None


def _service(group: Any) -> str:
    found: str = next(a.value.string_value for a in group.resource.attributes if a.key == "service.name")
    return found


class FakeTraces:
    """What both backends share. `lag`: a span is shown so many seconds after its end; `now` None = everything."""

    def __init__(self) -> None:
        self.traces: dict[str, Stored] = {}
        self.now: datetime | None = None
        self.lag = 3.0
        self.override: dict[str, Reply] = {}  # beginning of a path -> what it answers
        self.server = HttpFake(self._reply)
        self.url = self.server.url

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__()

    def add(self, *spans: S, now: datetime = NOW) -> None:
        """Store spans as `tests.support.spans` describes them."""
        for group in request(spans, now=now).resource_spans:
            for scope in group.scope_spans:
                for span in scope.spans:
                    key = span.trace_id.hex()
                    self.traces.setdefault(key, Stored(key)).groups.append(group)

    def add_body(self, body: bytes) -> None:
        """Store what an OTLP body says."""
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            key = group.scope_spans[0].spans[0].trace_id.hex()
            self.traces.setdefault(key, Stored(key)).groups.append(group)

    def shown(self) -> list[Stored]:
        """Traces as far as they are visible now, the newest first."""
        return sorted(filter(None, map(self.visible, self.traces)), key=lambda one: -one.start)

    def visible(self, trace_id: str) -> Stored | None:
        """One trace as far as it is visible now."""
        found = self.traces.get(trace_id)
        until = int((self.now - timedelta(seconds=self.lag)).timestamp() * 1e9) if self.now else 1 << 63
        return found.until(until) if found is not None else None

    def asked(self, beginning: str) -> list[Request]:
        """The requests whose path begins like this."""
        return [one for one in self.server.requests if one.path.startswith(beginning)]

    def _reply(self, request: Request) -> Reply:
        for beginning, reply in self.override.items():
            if request.path.startswith(beginning):
                return reply
        return self.answer(request)

    def answer(self, request: Request) -> Reply:
        raise NotImplementedError


class FakeJaeger(FakeTraces):
    """A Jaeger API. `cap`: it never gives more traces, whatever is asked; `ignores_time`: it gives any."""

    def __init__(self) -> None:
        super().__init__()
        self.cap = 10**9
        self.ignores_time = False
        self.more_services: list[str] = []

    def answer(self, request: Request) -> Reply:
        if request.path == "/api/services":
            names = {service for one in self.shown() for service, _, _ in one.spans}
            return Reply(200, json.dumps({"data": [*sorted(names), *self.more_services]}).encode())
        if request.path == "/api/traces":
            return self._traces(request.params)
        wanted = request.path.rpartition("/")[2]
        found = [one for one in self.shown() if one.trace_id == wanted]
        return Reply(
            200 if found else 404, json.dumps({"data": [jaeger_trace(one) for one in found]}).encode()
        )

    def _traces(self, params: dict[str, str]) -> Reply:
        start, end, limit = int(params["start"]), int(params["end"]), min(int(params["limit"]), self.cap)
        found = [one for one in self.shown() if self._matches(one, params["service"], start, end)]
        return Reply(200, json.dumps({"data": [jaeger_trace(one) for one in found[:limit]]}).encode())

    def _matches(self, trace: Stored, service: str, start: int, end: int) -> bool:
        return any(
            name == service and (self.ignores_time or start <= began // 1000 <= end)
            for name, began, _ in trace.spans
        )


class FakeTempo(FakeTraces):
    """A Tempo. `most`: the most traces that one search gives."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 10**9

    def answer(self, request: Request) -> Reply:
        if request.path == "/api/search":
            return self._search(request.params)
        wanted = request.path.rpartition("/")[2]
        found = self.visible(wanted)
        if found is None:
            return Reply(404, b"", TEXT)
        body = ExportTraceServiceRequest(resource_spans=found.groups).SerializeToString()
        return Reply(200, body, {"Content-Type": "application/protobuf"})

    def _search(self, params: dict[str, str]) -> Reply:
        start, end = int(params["start"]), int(params["end"])
        if end - start > 168 * 3600:
            return Reply(400, b"range specified by start and end exceeds 168h0m0s.", TEXT)
        limit = min(int(params["limit"]), self.most)
        hits = [
            {
                "traceID": one.trace_id.lstrip("0"),
                "rootServiceName": "?",
                "startTimeUnixNano": str(one.start),
                "durationMs": 5,
            }
            for one in self.shown()
            if any(start * 10**9 <= began <= end * 10**9 for _, began, _ in one.spans)
        ]
        return Reply(200, json.dumps({"traces": hits[:limit], "metrics": {}}).encode())


def jaeger_trace(trace: Stored) -> dict[str, Any]:
    """A trace as VictoriaTraces writes it: every value is text, and every span has a tag `error`."""
    processes: dict[str, Any] = {}
    spans = []
    for number, group in enumerate(trace.groups):
        tags = {one.key: one.value.string_value for one in group.resource.attributes}
        processes[f"p{number}"] = {
            "serviceName": tags.pop("service.name"),
            "tags": [_tag(key, value) for key, value in tags.items()],
        }
        spans += [_jaeger_span(span, f"p{number}") for scope in group.scope_spans for span in scope.spans]
    return {"processes": processes, "spans": spans, "traceID": trace.trace_id, "warnings": None}


def _jaeger_span(span: Any, process: str) -> dict[str, Any]:
    tags = [_tag("span.kind", KINDS[span.kind])]
    tags += [_tag(one.key, _text(one.value)) for one in span.attributes]
    tags.append(_tag("error", "true" if span.status.code == 2 else "unset"))
    if span.trace_state:
        tags.append(_tag("w3c.tracestate", span.trace_state))
    parent = {"refType": "CHILD_OF", "traceID": span.trace_id.hex(), "spanID": span.parent_span_id.hex()}
    return {
        "duration": (span.end_time_unix_nano - span.start_time_unix_nano) // 1000,
        "logs": [],
        "operationName": span.name,
        "processID": process,
        "references": [parent] if span.parent_span_id else [],
        "spanID": span.span_id.hex(),
        "startTime": span.start_time_unix_nano // 1000,
        "tags": tags,
        "traceID": span.trace_id.hex(),
        "warnings": None,
    }


def _tag(key: str, value: str) -> dict[str, str]:
    return {"key": key, "type": "string", "value": value}


def _text(value: Any) -> str:
    kind = value.WhichOneof("value")
    held = getattr(value, kind)
    return ("true" if held else "false") if kind == "bool_value" else str(held)


def steady(
    backends: Iterable[FakeTraces],
    *,
    begin: datetime,
    seconds: int,
    per_second: int,
    first: int = 1,
    services: tuple[str, str] = ("gateway", "catalog"),
) -> int:
    """Store an even stream of traces: gateway serves, calls catalog, which asks its database; gives their number."""
    front, back = services
    number = first
    for at in range(seconds * per_second):
        moment = begin + timedelta(seconds=at / per_second)
        spans = call(number, front, back)
        for one in backends:
            one.add(*spans, now=moment)
        number += 1
    return number - first


def call(number: int, front: str = "gateway", back: str = "catalog", *, error: bool = False) -> list[S]:
    """The spans of one request: two services and a database."""
    database = {"db.system.name": "postgresql", "server.address": "pg-1", "server.port": 5432}
    trace = number * 0x9E3779B97F4A7C15F39CC0605CEDC835 & (
        2**124 - 1
    )  # spread, as real ids are, with a zero in front
    return [
        S(front, 2, 1, 0, trace=trace, age=0.0, seconds=0.04, error=error),
        S(front, 3, 2, 1, {"peer.service": back}, trace=trace, age=0.005, seconds=0.03, error=error),
        S(back, 2, 3, 2, trace=trace, age=0.01, seconds=0.02, error=error),
        S(back, 3, 4, 3, database, trace=trace, age=0.015, seconds=0.005),
    ]
