"""Whatever a body holds, it is taken or refused with one of the mapped errors, and a pull still works."""

from __future__ import annotations

import gzip

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app import clock
from collectors.otlp import OtlpCollector
from collectors.otlp_body import JSON, OtlpError
from tests.support.otlp_http import BODIES, RECORDED, end_of
from tests.support.spans import PROTOBUF, look

SEEDS = [(path.read_bytes(), PROTOBUF) for path in BODIES] + [
    ((RECORDED / "otlp" / f"json_sdk_v1_traces-00{n}.json").read_bytes(), JSON) for n in (1, 2)
]
NOW = end_of(*(content for content, kind in SEEDS if kind == PROTOBUF))


@st.composite
def mutated(draw):
    content, kind = draw(st.sampled_from(SEEDS))
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 12))):
        at = draw(st.integers(0, len(changed) - 1))
        how = draw(st.sampled_from(["set", "cut", "insert", "drop"]))
        if how == "set":
            changed[at] = draw(st.integers(0, 255))
        elif how == "cut" and at > 10:
            del changed[at:]
        elif how == "insert":
            changed[at:at] = draw(st.binary(max_size=8))
        else:
            del changed[at : at + draw(st.integers(1, 5))]
        changed = changed or bytearray(b"x")
    return bytes(changed), kind


def survives(content, kind, encoding=""):
    collector = OtlpCollector("test", max_body_bytes=1 << 20, sampling_attribute="http.route")
    with clock.frozen_at(NOW):
        refusal = refused(collector, content, kind, encoding)
    if refusal is not None:
        assert refusal.status in (400, 413, 415, 429)
        assert str(refusal)
        assert collector.totals["spans"] == 0
    witness = look(collector, NOW).witnesses[0]
    assert (witness.edges.requests >= 0).all()


def refused(collector, content, kind, encoding):
    try:
        collector.ingest(content, kind, encoding)
    except OtlpError as error:
        return error
    return None


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=mutated())
def test_mutated_bodies_do_no_harm(case):
    survives(*case)


@settings(max_examples=60, deadline=None)
@given(case=mutated())
def test_mutated_compressed_bodies_do_no_harm(case):
    content, kind = case
    packed = bytearray(gzip.compress(content))
    packed[len(packed) // 2] ^= 0x55
    survives(bytes(packed), kind, "gzip")


@settings(max_examples=100, deadline=None)
@given(
    content=st.binary(max_size=300),
    kind=st.sampled_from([PROTOBUF, JSON]),
    encoding=st.sampled_from(["", "gzip", "zstd"]),
)
def test_noise_does_no_harm(content, kind, encoding):
    survives(content, kind, encoding)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_well_formed_bodies_with_hostile_values_do_no_harm(data):
    """Valid wire format, so every value reaches the join: odd kinds, codes, names, ids, times, links."""
    request = ExportTraceServiceRequest()
    seed, _ = data.draw(st.sampled_from(SEEDS[:8]))
    request.ParseFromString(seed)
    text = st.text(max_size=20) | st.sampled_from(
        ["x" * 5000, "<script>", "a>b:c", "\0", "127.0.0.1", "http://[", "-1", "1e400"]
    )
    for group in request.resource_spans:
        if data.draw(st.booleans()):
            group.resource.attributes[data.draw(st.integers(0, 5))].value.string_value = data.draw(text)
        for span in (s for scope in group.scope_spans for s in scope.spans):
            span.kind = data.draw(st.sampled_from([0, 1, 2, 3, 4, 5]))
            span.status.code = data.draw(st.sampled_from([0, 1, 2]))
            span.trace_state = data.draw(
                st.sampled_from(["", "ot=th:8", "ot=th:ffffffffffffff", "ot=th:fffffffffffffff", "th:"])
            )
            if data.draw(st.booleans()):
                span.end_time_unix_nano = data.draw(st.integers(0, 2**64 - 1))
            for key in (
                "messaging.system",
                "peer.service",
                "db.system",
                "http.response.status_code",
                "rpc.grpc.status_code",
            ):
                if data.draw(st.booleans()):
                    span.attributes.add(key=key).value.string_value = data.draw(text)
            span.links.add(
                span_id=data.draw(st.binary(max_size=9)), trace_id=data.draw(st.binary(max_size=17))
            )
    survives(request.SerializeToString(), PROTOBUF)
