"""Spans as a test says them, as OTLP bodies; and the graph a snapshot tells, as plain dictionaries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from app import clock
from app.model.fleet import Identity, NodeKind, Snapshot
from app.model.series import Window
from collectors.otlp import OtlpCollector

NOW = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)
PROTOBUF = "application/x-protobuf"
INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5


@dataclass(frozen=True)
class S:
    """One span: service, kind, own id, parent id (0 = root), attributes; `age` seconds before NOW it ended."""

    service: str
    kind: int
    id: int = 1
    parent: int = 0
    attributes: dict[str, Any] = field(default_factory=dict)
    error: bool = False
    trace: int = 7
    links: tuple[tuple[int, int], ...] = ()
    age: float = 1.0
    seconds: float = 0.1
    tracestate: str = ""
    resource: dict[str, Any] = field(default_factory=dict)


def attribute(key: str, value: Any) -> KeyValue:
    pair = KeyValue(key=key)
    if isinstance(value, bool):
        pair.value.bool_value = value
    elif isinstance(value, int):
        pair.value.int_value = value
    elif isinstance(value, float):
        pair.value.double_value = value
    else:
        pair.value.string_value = value
    return pair


def trace_bytes(number: int) -> bytes:
    return number.to_bytes(16, "big")


def span_bytes(number: int) -> bytes:
    return number.to_bytes(8, "big")


def request(spans: Iterable[S], *, now: datetime = NOW) -> ExportTraceServiceRequest:
    made = ExportTraceServiceRequest()
    for one in spans:
        group = made.resource_spans.add()
        resource = {"service.name": one.service, "service.namespace": "shop", **one.resource}
        group.resource.attributes.extend(attribute(k, v) for k, v in resource.items() if v != "")
        span = group.scope_spans.add().spans.add()
        end = int((now - timedelta(seconds=one.age)).timestamp() * 1e9)
        span.trace_id, span.span_id = trace_bytes(one.trace), span_bytes(one.id)
        span.parent_span_id = span_bytes(one.parent) if one.parent else b""
        span.kind, span.end_time_unix_nano = one.kind, end
        span.start_time_unix_nano = end - int(one.seconds * 1e9)
        span.trace_state, span.name = one.tracestate, "op"
        span.attributes.extend(attribute(k, v) for k, v in one.attributes.items())
        if one.error:
            span.status.code = 2
        for trace, linked in one.links:
            span.links.add(trace_id=trace_bytes(trace), span_id=span_bytes(linked))
    return made


def body(*spans: S, now: datetime = NOW) -> bytes:
    return bytes(request(spans, now=now).SerializeToString())


def take(collector: OtlpCollector, *spans: S, at: datetime = NOW) -> None:
    with clock.frozen_at(at):
        collector.ingest(body(*spans), PROTOBUF)


def look(collector: OtlpCollector, at: datetime = NOW) -> Snapshot:
    with clock.frozen_at(at):
        return collector.pull(Window(at - timedelta(seconds=60), at))


def label(party: Identity) -> str:
    """How tests write a party: service, engine@address, system/destination, ?alias-or-address."""
    if party.kind is NodeKind.QUEUE:
        return f"{party.engine}/{party.destination}"
    if party.kind in (NodeKind.DATABASE, NodeKind.CACHE):
        address = party.address or "?"
        return f"{party.engine}@{address}" + (f"~{party.scope}" if party.scope else "")
    if party.kind is NodeKind.EXTERNAL:
        return f"?{party.name or party.address}"
    return party.name


def edges(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """`source>target` -> numbers of that edge; rows of one pair are added."""
    found: dict[str, dict[str, Any]] = defaultdict(lambda: defaultdict(float))
    for witness in snapshot.witnesses:
        e, names = witness.edges, [label(party) for party in witness.parties]
        for row in range(len(e)):
            one = found[f"{names[e.source[row]]}>{names[e.target[row]]}"]
            for column in ("requests", "failed", "caller_errors", "raw"):
                one[column] += float(getattr(e, column)[row])
            one["client"] += float(e.client_latency[row].sum())
            one["server"] += float(e.server_latency[row].sum())
            one["kind"], one["protocol"] = e.kind[row].value, e.protocol[row]
    return {name: dict(numbers) for name, numbers in found.items()}


def calls(snapshot: Snapshot) -> dict[str, tuple[float, float]]:
    """`source>target` -> (requests, failed)."""
    return {name: (one["requests"], one["failed"]) for name, one in edges(snapshot).items()}


def nodes(snapshot: Snapshot) -> dict[str, tuple[float, float]]:
    """service -> (requests, failed) of what came in."""
    found: dict[str, tuple[float, float]] = {}
    for witness in snapshot.witnesses:
        n = witness.nodes
        for row in range(len(n)):
            name = label(witness.parties[n.party[row]])
            requests, failed = found.get(name, (0.0, 0.0))
            found[name] = (requests + float(n.requests[row]), failed + float(n.failed[row]))
    return found


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def graph(*spans: S, wait: bool = False, **options: Any) -> dict[str, tuple[float, float]]:
    """The calls of these spans, taken at once; `wait` = look after the waiting time."""
    return calls(seen(*spans, wait=wait, **options))


def seen(*spans: S, wait: bool = False, **options: Any) -> Snapshot:
    collector = OtlpCollector("test", **options)
    take(collector, *spans)
    look(collector)
    return look(collector, later(11) if wait else NOW)
