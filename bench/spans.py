"""From gzip bodies of OTLP to edges: spans per CPU second, the plain way against ours.

Input: services with five edges each, ten seconds of traces of up to ten spans, let go by each service every five
seconds and sent on in bodies of 8,192 spans; eight attributes per span, one call in a hundred failing. Host names,
ids, routes and durations vary; the user agent does not, as in life. The second case turns one span in ten into a
call to a database, whose attributes must be read.
"""

from __future__ import annotations

import gc
import gzip
import math
import random
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app import clock
from app.model.fleet import NodeKind
from app.model.series import Window
from bench.harness import compare, growth, load, own_rss, provenance, sizes
from bench.naive import spans as naive
from collectors.otlp import OtlpCollector
from collectors.otlp_body import PROTOBUF, Full

NOW = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)
PER_BODY = 8192
SPANS, SECONDS, SDK_SECONDS = 131_072, 10, 5
BURST = 8 * SPANS
SERVER, CLIENT = 2, 3


def fill(span, *, trace, own, parent, kind, seconds, end, failing, service, host, rnd, store):
    span.trace_id, span.span_id, span.parent_span_id = trace, own, parent
    span.kind, span.name = kind, f"GET /{service}/items/{{id}}"
    span.end_time_unix_nano, span.start_time_unix_nano = end, end - int(seconds * 1e9)
    values = {
        "url.full": f"http://{host}:8080/{service}/items/{rnd.randrange(10**6)}?page={rnd.randrange(50)}",
        "server.address": host,
        "server.port": 8080,
        "user_agent.original": "python-requests/2.32.3",
        "network.protocol.version": "1.1",
        "thread.id": rnd.randrange(10**5),
    }
    if store:
        values |= {"db.system.name": "postgresql", "db.namespace": "orders"}
    else:
        values |= {"http.request.method": "GET", "http.response.status_code": 500 if failing else 200}
    for key, value in values.items():
        pair = span.attributes.add()
        pair.key = key
        if isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.string_value = value
    if failing:
        span.status.code = 2


def traffic(services, count, *, seed, stores):
    """(service, span arguments) of traces: a chain of services, each call a client and a server span."""
    rnd = random.Random(seed)
    callees = [[rnd.randrange(services) for _ in range(5)] for _ in range(services)]
    now = int(NOW.timestamp() * 1e9)
    made = []
    while len(made) < count:
        trace, parent, service = rnd.randbytes(16), b"", rnd.randrange(services)
        end = now - int(rnd.uniform(SDK_SECONDS, SDK_SECONDS + SECONDS) * 1e9)
        for depth in range(5):
            failing, seconds = rnd.random() < 0.01, rnd.lognormvariate(-3, 1)
            common = {"trace": trace, "rnd": rnd, "failing": failing, "end": end - rnd.randrange(10**7)}
            server, client = rnd.randbytes(8), rnd.randbytes(8)
            mine = dict(common, own=server, parent=parent, kind=SERVER, seconds=seconds, store=False)
            made.append((service, mine | {"host": f"service-{service}.shop"}))
            store = stores and (depth == 4 or rnd.random() < 0.02)
            callee = rnd.choice(callees[service])
            if store or depth < 4:
                mine |= {
                    "own": client,
                    "parent": server,
                    "kind": CLIENT,
                    "seconds": seconds * 1.2,
                    "store": store,
                }
                host = f"pg-{service % 50}.shop" if store else f"service-{callee}.shop"
                made.append((service, mine | {"host": host}))
            if store:
                break
            service, parent = callee, client
    return made


def flushes(services, count, *, seed, stores):
    """Spans as SDKs let them go: each service every five seconds, in the order of time."""
    rnd = random.Random(seed)
    phase = [rnd.uniform(0, SDK_SECONDS) for _ in range(services)]
    held = {}
    for service, arguments in traffic(services, count, seed=seed, stores=stores):
        tick = math.ceil((arguments["end"] / 1e9 - phase[service]) / SDK_SECONDS)
        held.setdefault((tick * SDK_SECONDS + phase[service], service), []).append(arguments)
    return [(service, spans) for (_, service), spans in sorted(held.items(), key=lambda item: item[0])]


def bodies(services, count, *, seed=1, stores=False):
    """Gzip bodies of about PER_BODY spans, as a collector in front of us would send them."""
    request, held, made = ExportTraceServiceRequest(), 0, []
    for service, spans in flushes(services, count, seed=seed, stores=stores):
        group = request.resource_spans.add()
        resource = {
            "service.name": f"service-{service}",
            "service.namespace": "shop",
            "service.version": "1.4.2",
        }
        for key, value in resource.items():
            pair = group.resource.attributes.add()
            pair.key, pair.value.string_value = key, value
        scope = group.scope_spans.add()
        for arguments in spans:
            fill(scope.spans.add(), service=f"service-{service}", **arguments)
        held += len(spans)
        if held >= PER_BODY:
            made.append(gzip.compress(request.SerializeToString(), 6))
            request, held = ExportTraceServiceRequest(), 0
    if held:
        made.append(gzip.compress(request.SerializeToString(), 6))
    return made


def chosen(content):
    collector = OtlpCollector("bench", max_body_bytes=64 << 20)
    with clock.frozen_at(NOW):
        for body in content:
            collector.ingest(body, PROTOBUF, "gzip")
        return collector.pull(Window(NOW - timedelta(seconds=60), NOW))


def as_plain(snapshot):
    """Our answer in the plain way's form: (caller, callee) -> requests, failed, histograms."""
    witness = snapshot.witnesses[0]
    names = [p.engine if p.kind is NodeKind.DATABASE else p.name for p in witness.parties]
    found = {}
    e = witness.edges
    for row in range(len(e)):
        key = names[e.source[row]], names[e.target[row]]
        numbers = np.concatenate(
            [[e.requests[row], e.failed[row]], e.client_latency[row], e.server_latency[row]]
        )
        found[key] = found.get(key, 0) + numbers
    nodes = {names[p]: r for p, r in zip(witness.nodes.party, witness.nodes.requests, strict=True) if r}
    return found, nodes


def same(content):
    """Assert that both ways answer the same, to the last bucket."""
    ours, our_nodes = as_plain(chosen(content))
    edges, nodes = naive.edges_of(content)
    assert set(ours) == set(edges), "the edges differ"
    for key, edge in edges.items():
        theirs = np.array([edge.requests, edge.failed, *edge.client, *edge.server])
        assert np.array_equal(ours[key], theirs), f"the counts of {key} differ"
    assert our_nodes == nodes, "the requests of services differ"
    return len(edges)


def case(name, services, *, stores):
    content = bodies(services, min(SPANS, 655 * services), stores=stores)
    spans, edges = counted(content), same(content)
    found = compare(name, lambda: naive.edges_of(content), lambda: chosen(content))
    rate = [spans / way[1] / 1e3 for way in (found.naive, found.chosen)]
    print(
        f"{found}\n    {spans:,} spans, {edges:,} edges: "
        f"naive {rate[0]:.0f} k/s  chosen {rate[1]:.0f} k/s  x{found.ratio:.1f}"
    )


def curve(services):
    """Our way at 1, 3 and 10 times the spans of one fleet: the cost of a span must stay what it is."""
    points = []
    for times in (1, 3, 10):
        content = bodies(services, SPANS // 4 * times, seed=times, stores=True)
        points.append((counted(content), least(content)))
    shown = "  ".join(f"{spans:,}: {spans / seconds / 1e3:.0f} k/s" for spans, seconds in points)
    print(f"spans at 1x 3x 10x, {services:,} services       {shown}  {growth(points)}")


def burst(services):
    """A million spans and more at once by eight senders that come back when they are told to: none is lost."""
    content, many = bodies(services, SPANS, stores=True), BURST // SPANS
    sent = [(renewed(body, number), counted([body])) for number in range(many) for body in content]
    collector, taken, refused = OtlpCollector("bench", max_body_bytes=64 << 20), [], []

    def send(mine):
        for body, spans in mine:
            while not (accepted := offer(collector, body)):
                refused.append(spans)
                time.sleep(0.05)
            taken.append(accepted)

    began, cpu = time.perf_counter(), time.process_time()
    threads = [threading.Thread(target=send, args=(sent[at::8],)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with clock.frozen_at(NOW):
        witness = collector.pull(Window(NOW - timedelta(seconds=60), NOW)).witnesses[0]
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    once = chosen(content).witnesses[0]
    assert sum(taken) == sum(spans for _, spans in sent), "the answers told of other spans than were sent"
    assert witness.nodes.requests.sum() == once.nodes.requests.sum() * many, "requests were lost"
    assert witness.edges.requests.sum() == once.edges.requests.sum() * many, "calls were lost"
    print(
        f"burst, {services:,} services                      {sum(taken):,} spans in {wall:.1f} s "
        f"({sum(taken) / cpu / 1e3:.0f} k/CPU-s), {sum(refused):,} refused with word to come back, "
        f"0 of {witness.edges.requests.sum():,.0f} calls lost  rss {own_rss():.0f} MB"
    )


def offer(collector, body):
    """How many spans of a body were taken; 0 = come back later."""
    try:
        with clock.frozen_at(NOW):
            return collector.ingest(body, PROTOBUF, "gzip").accepted
    except Full:
        return 0


def renewed(body, number):
    """The same spans in traces of their own, as `number` tells them apart; untouched for 0."""
    if not number:
        return body
    request = ExportTraceServiceRequest.FromString(gzip.decompress(body))
    for group in request.resource_spans:
        for span in group.scope_spans[0].spans:
            span.trace_id = bytes((number,)) + span.trace_id[1:-1] + bytes((span.trace_id[-1] ^ number,))
    return gzip.compress(request.SerializeToString(), 1)


def counted(content):
    """How many spans the bodies hold."""
    requests = [ExportTraceServiceRequest.FromString(gzip.decompress(body)) for body in content]
    return sum(
        len(s.spans) for request in requests for group in request.resource_spans for s in group.scope_spans
    )


def least(content):
    """CPU seconds of our way, the best of three."""
    best = math.inf
    for _ in range(3):
        gc.collect()
        begun = time.process_time()
        chosen(content)
        best = min(best, time.process_time() - begun)
    return best


def main():
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # as in production
    print(provenance(1, f"{SPANS:,} spans"))
    for services in sizes():
        case(f"spans {services:,} services", services, stores=False)
    case(f"spans {services:,} services, one in ten asked", services, stores=True)
    curve(services)
    burst(services)
    print(load())


if __name__ == "__main__":
    main()
