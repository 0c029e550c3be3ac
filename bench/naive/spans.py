"""Spans to edges as one would write it first: stock protobuf, attributes to dictionaries, Python dictionaries."""

from __future__ import annotations

import gzip
from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from app.model.series import BOUNDS

LIMITS = BOUNDS.tolist()
BUCKETS = len(LIMITS) - 1


@dataclass
class Edge:
    requests: int = 0
    failed: int = 0
    client: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    server: list[int] = field(default_factory=lambda: [0] * BUCKETS)


@dataclass(slots=True)
class Half:
    service: str
    seconds: float
    error: bool
    attributes: dict[str, object]


def value_of(value):
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


def read(body, clients, servers, entries, nodes):
    request = ExportTraceServiceRequest.FromString(gzip.decompress(body))
    for group in request.resource_spans:
        resource = {pair.key: value_of(pair.value) for pair in group.resource.attributes}
        service = resource.get("service.name", "")
        for scope in group.scope_spans:
            for span in scope.spans:
                half = Half(
                    service,
                    (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                    span.status.code == 2,
                    {pair.key: value_of(pair.value) for pair in span.attributes},
                )
                if span.kind == Span.SPAN_KIND_CLIENT:
                    clients[span.trace_id, span.span_id] = half
                elif span.kind == Span.SPAN_KIND_SERVER:
                    nodes[service] += 1
                    if span.parent_span_id:
                        servers[span.trace_id, span.parent_span_id] = half
                    else:
                        entries.append(half)


def failed(half):
    status = half.attributes.get("http.response.status_code")
    return half.error and (status is None or int(status) >= 500)


def bucket(seconds):
    return min(max(bisect_right(LIMITS, seconds) - 1, 0), BUCKETS - 1)


def edges_of(bodies):
    """(edges by (caller, callee), requests by service)."""
    clients, servers, entries = {}, {}, []
    nodes: Counter[str] = Counter()
    for body in bodies:
        read(body, clients, servers, entries, nodes)
    edges: dict[tuple[str, str], Edge] = defaultdict(Edge)
    for key, client in clients.items():
        server = servers.get(key)
        target = server.service if server else f"{client.attributes.get('db.system.name')}"
        if server and server.service == client.service:
            continue
        edge = edges[client.service, target]
        edge.requests += 1
        edge.failed += failed(client) or (server is not None and failed(server))
        edge.client[bucket(client.seconds)] += 1
        if server:
            edge.server[bucket(server.seconds)] += 1
    for half in entries:
        edge = edges["user", half.service]
        edge.requests += 1
        edge.failed += failed(half)
        edge.server[bucket(half.seconds)] += 1
    return edges, nodes
