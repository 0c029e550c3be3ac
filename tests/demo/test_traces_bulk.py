"""Input for benchmarks comes from the same generator, in the size asked for, the same for a seed."""

import numpy as np
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from demo import bulk


def test_span_bodies_hold_the_number_asked_for_and_whole_traces():
    bodies = list(bulk.span_bodies(60, 3000, 1))
    requests = [ExportTraceServiceRequest.FromString(body) for body in bodies]
    spans = [
        s
        for request in requests
        for r in request.resource_spans
        for scope in r.scope_spans
        for s in scope.spans
    ]
    known = {(span.trace_id, span.span_id) for span in spans}
    assert 3000 <= len(spans) < 12_000
    assert all((s.trace_id, s.parent_span_id) in known for s in spans if s.parent_span_id)
    assert len(requests) > 3


def test_the_same_seed_gives_the_same_bodies():
    assert list(bulk.span_bodies(30, 500, 4)) == list(bulk.span_bodies(30, 500, 4))


def test_edges_are_unique_and_point_at_named_parties():
    found = bulk.edges(300, 1)
    assert len({(s, t) for s, t in zip(found.source.tolist(), found.target.tolist(), strict=True)}) == len(
        found.rate
    )
    assert found.source.max() < len(found.parties)
    assert found.target.max() < len(found.parties)
    assert len(found.rate) > 1300
    assert (found.rate > 0).all()
    assert np.isfinite(found.seconds).all()
    assert "shop/order" in found.parties
    assert "postgresql@orders-db:5432" in found.parties
    assert "kafka/order-events" in found.parties


def test_pages_carry_every_service():
    pages = list(bulk.pages(120, 1, seconds=3))
    assert 3 < len(pages) < 10
    assert sum(page.count("process_start_time_seconds{") for page in pages) > 240
