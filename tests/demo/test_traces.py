"""Traces drawn from the model: parsed with the official schema, true to the model's rates and failures."""

import gzip
import random
from collections import Counter, defaultdict
from functools import lru_cache

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Official

from demo import generate
from demo.scenario import Director
from demo.sender import Sender
from demo.spans import Sampling
from demo.traces import Tracer
from tests.support.demo_figures import figures_of, run
from tests.support.demo_pods import START, make_fleet
from tests.support.http_fake import HttpFake, Reply
from tests.support.scraping_prometheus import until

SERVER, CLIENT, PRODUCER, CONSUMER = (
    Official.SPAN_KIND_SERVER,
    Official.SPAN_KIND_CLIENT,
    Official.SPAN_KIND_PRODUCER,
    Official.SPAN_KIND_CONSUMER,
)


def _value(value):
    return getattr(value, value.WhichOneof("value"))


def _attributes(of):
    return {pair.key: _value(pair.value) for pair in of.attributes}


@lru_cache(maxsize=2)
def _traced(seconds=20, seed=1, scenario="", ratio=0.5):
    """(service, span) of everything that a fleet sends in some seconds, decoded with the official schema."""
    fleet, pods = make_fleet(seed=seed)
    director = Director(fleet, pods)
    run(fleet, director, 5)
    if scenario:
        director.start(scenario)
        run(fleet, director, 20)
    tracer = Tracer(fleet, seed=seed, ratio=ratio)
    found = []
    for second in range(seconds):
        run(fleet, director, 1)
        for body in tracer.flush(START + second, 1.0).written():
            request = ExportTraceServiceRequest.FromString(body)
            assert len(request.SerializeToString()) == len(body)
            for resource in request.resource_spans:
                name = _attributes(resource.resource)["service.name"]
                found += [(name, span) for scope in resource.scope_spans for span in scope.spans]
    return fleet, found


def test_bodies_parse_with_the_official_schema_and_every_parent_is_there():
    _, spans = _traced()
    known = {(span.trace_id, span.span_id) for _, span in spans}
    assert len(known) == len(spans) > 500
    for _, span in spans:
        assert len(span.trace_id) == 16
        assert len(span.span_id) == 8
        assert span.end_time_unix_nano >= span.start_time_unix_nano > 0
        if span.parent_span_id:
            assert (span.trace_id, span.parent_span_id) in known


def test_a_server_span_hangs_under_the_client_span_of_its_caller():
    _, spans = _traced()
    by_id = {(span.trace_id, span.span_id): (service, span) for service, span in spans}
    pairs = Counter()
    for service, span in spans:
        if span.kind == SERVER and span.parent_span_id:
            caller, parent = by_id[(span.trace_id, span.parent_span_id)]
            assert parent.kind == CLIENT
            assert parent.start_time_unix_nano < span.start_time_unix_nano
            assert _attributes(parent)["server.address"].split(".")[0] == service
            pairs[(caller, service)] += 1
    assert {
        ("gateway", "order"),
        ("order", "payment"),
        ("order", "inventory"),
        ("search", "inventory"),
    } <= set(pairs)


def test_stores_and_topics_carry_the_current_conventions():
    _, spans = _traced()
    seen = {}
    for _, span in spans:
        attributes = _attributes(span)
        if "db.system.name" in attributes:
            assert span.kind == CLIENT
            key = (attributes["db.system.name"], attributes["server.address"], attributes["server.port"])
            seen[key] = attributes["db.namespace"]
        assert not {"db.system", "http.method", "net.peer.name", "messaging.operation"} & set(attributes)
    assert seen[("postgresql", "orders-db", 5432)] == "orders"
    assert ("redis", "cart-redis", 6379) in seen
    assert ("elasticsearch", "elasticsearch", 9200) in seen


def test_messages_are_processed_in_traces_of_their_own_linked_to_what_sent_them():
    _, spans = _traced()
    sent = {(s.trace_id, s.span_id): _attributes(s) for _, s in spans if s.kind == PRODUCER}
    processed = [(service, s) for service, s in spans if s.kind == CONSUMER]
    assert {service for service, _ in processed} == {"notification", "recommendation", "risk-control"}
    for _, span in processed:
        (link,) = span.links
        attributes, origin = _attributes(span), sent[(link.trace_id, link.span_id)]
        assert link.trace_id != span.trace_id
        assert not span.parent_span_id
        assert attributes["messaging.operation.type"] == "process"
        assert origin["messaging.operation.type"] == "send"
        assert attributes["messaging.destination.name"] == origin["messaging.destination.name"]


def test_the_sampling_ratio_recovers_the_models_rates():
    fleet, spans = _traced(40, ratio=0.3)
    served = Counter(service for service, span in spans if span.kind == SERVER)
    for service in ("gateway", "order", "inventory", "payment"):
        assert served[service] / 40 / 0.3 == pytest.approx(figures_of(fleet, service).rate, rel=0.12), service


@pytest.mark.parametrize(
    ("ratio", "state"),
    [(0.1, "ot=th:e6666666666666"), (0.5, "ot=th:8"), (1.0, "ot=th:0"), (0.0625, "ot=th:f")],
)
def test_the_ratio_is_told_as_a_threshold_that_every_trace_id_passes(ratio, state):
    sampling = Sampling(ratio)
    assert sampling.tracestate == state
    rng = random.Random(1)
    for _ in range(200):
        assert int.from_bytes(sampling.trace_id(rng)[9:], "big") >= sampling.threshold


def test_every_span_carries_the_tracestate():
    _, spans = _traced()
    assert {span.trace_state for _, span in spans} == {"ot=th:8"}


def test_failures_of_a_bad_release_show_in_spans_and_climb_to_the_gateway():
    _, spans = _traced(scenario="bad-deploy")
    failed, all_of, events = Counter(), Counter(), 0
    for service, span in spans:
        if span.kind == SERVER:
            all_of[service] += 1
            if span.status.code == 2:
                failed[service] += 1
                assert _attributes(span)["http.response.status_code"] >= 500
                assert _attributes(span)["error.type"]
            events += sum(event.name == "exception" for event in span.events)
    assert failed["payment"] / all_of["payment"] == pytest.approx(0.25, abs=0.07)
    assert failed["order"] > 10
    assert failed["gateway"] > 10
    assert failed["search"] == 0
    assert events > 5


def test_a_timed_out_call_has_no_status_code_and_is_sent_again():
    _, spans = _traced(scenario="retry-storm")
    calls = [
        (span, _attributes(span)) for service, span in spans if service == "order" and span.kind == CLIENT
    ]
    late = [a for span, a in calls if a.get("error.type") == "timeout" and "inventory" in a["server.address"]]
    assert late
    assert all("http.response.status_code" not in a for a in late)
    assert max(a.get("http.request.resend_count", 0) for _, a in calls) == 3


def test_requests_to_a_lost_node_time_out_without_a_server_span():
    fleet, spans = _traced(scenario="node-loss")
    lost = {view.uid for view in fleet.pods.views if view.node in fleet.faults.lost_nodes}
    assert lost
    children = defaultdict(int)
    for _, span in spans:
        children[(span.trace_id, span.parent_span_id)] += 1
    orphans = [
        span
        for _, span in spans
        if span.kind == CLIENT and ".svc." in _attributes(span)["server.address"]
        and not children[(span.trace_id, span.span_id)]
    ]  # fmt: skip
    assert orphans
    assert all(_attributes(span).get("error.type") == "timeout" for span in orphans)


def test_resources_name_the_instance_and_where_it_runs():
    fleet, pods = make_fleet()
    run(fleet, None, 2)
    tracer = Tracer(fleet, seed=1, ratio=1.0)
    resources = {}
    for body in tracer.flush(START, 1.0).written():
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = _attributes(resource.resource)
            assert attributes["service.instance.id"] not in resources
            resources[attributes["service.instance.id"]] = attributes
    order = resources[pods.pods("shop", "order")[0].uid]
    assert order["k8s.deployment.name"] == order["service.name"] == "order"
    assert order["k8s.pod.name"] == pods.pods("shop", "order")[0].name
    assert order["service.version"] == "3.4.1"
    assert (
        next(r for r in resources.values() if r["service.name"] == "cart")["k8s.statefulset.name"] == "cart"
    )


def test_the_same_seed_draws_the_same_traces():
    first, second = (_traced.__wrapped__(3, seed=4)[1] for _ in range(2))
    assert [s.SerializeToString() for _, s in first] == [s.SerializeToString() for _, s in second]


def test_more_traces_than_one_flush_may_hold_are_counted_as_dropped():
    fleet, _ = make_fleet(generate.catalog(200, 1))
    run(fleet, None, 2)
    tracer = Tracer(fleet, seed=1, ratio=1.0)
    tracer.flush(START, 10.0)
    assert tracer.dropped > 500


def _sender(fake):
    return Sender(f"{fake.url}/v1/traces")


def test_bodies_arrive_compressed_as_protobuf():
    with HttpFake(lambda _request: Reply(200, b"")) as fake:
        sender = _sender(fake)
        sender.offer([b"one", b"two"])
        assert until(lambda: sender.sent == 2, 10)
        sender.close()
    assert [gzip.decompress(request.body) for request in fake.requests] == [b"one", b"two"]
    assert fake.requests[0].path == "/v1/traces"
    assert fake.requests[0].headers["content-type"] == "application/x-protobuf"
    assert fake.requests[0].headers["content-encoding"] == "gzip"


def test_a_body_that_met_a_busy_receiver_is_sent_again():
    answers = iter([Reply(503, b""), Reply(200, b"")])
    with HttpFake(lambda _request: next(answers)) as fake:
        sender = _sender(fake)
        sender.offer([b"one"])
        assert until(lambda: sender.sent == 1, 10)
        sender.close()
    assert len(fake.requests) == 2


def test_a_refused_body_is_dropped_and_the_next_one_tried():
    answers = iter([Reply(400, b""), Reply(200, b"")])
    with HttpFake(lambda _request: next(answers)) as fake:
        sender = _sender(fake)
        sender.offer([b"one", b"two"])
        assert until(lambda: sender.sent == 1, 10)
        sender.close()
    assert sender.dropped == 1


def test_a_receiver_that_is_away_never_holds_up_the_model_and_the_oldest_bodies_go():
    with HttpFake(lambda _request: Reply(200, b"")) as fake:
        fake.down()
        sender = _sender(fake)
        sender.offer([b"body"] * 200)
        assert sender.dropped >= 130
        fake.up()
        assert until(lambda: sender.sent > 50, 20)
        sender.close()
