"""The scan of a protobuf body finds what a full decoder finds, or refuses what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collectors.otlp_body import OtlpError
from collectors.otlp_wire import Wanted
from collectors.span_outline import outline
from collectors.span_read import read_protobuf
from collectors.span_rows import ProtoRows, WireRows
from tests.support.otlp_http import BODIES

MANY = 1 << 30
WANTED = Wanted("server.address", "http.request.method", "peer.service", "url.full")
COLUMNS = ("origin", "row", "key", "parent", "root", "kind", "start", "end", "error", "weight")
ids = st.sampled_from([b"", bytes(8), b"12345678", b"abcdefgh", b"1234567", b"1" * 9])
times = st.sampled_from([0, 1, 10**18, 10**18 + 5, 2**63, 2**64 - 1])
names = st.sampled_from(["", "GET /", "x" * 127, "x" * 128, "x" * 300, "y" * 300])
keys = st.sampled_from(
    [
        "server.address",
        "server.addrezz",
        "http.request.method",
        "peer.service",
        "url.full",
        "url",
        "",
        "k" * 200,
    ]
)
values = st.sampled_from(["", "GET", "pg-1", "é" * 70, "z\x02\x18\x02", "v" * 300])


def rarely(*contents):
    """One of them in a few of many draws, else nothing."""
    return st.integers(0, 9).flatmap(lambda n: st.just(b"") if n else st.sampled_from(contents))


@st.composite
def fields(draw):
    """Encoded fields of one span, in the order of their numbers."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    usual = draw(st.sampled_from([True, True, True, True, False]))
    span.trace_id = b"t" * 16 if usual else draw(ids) * 2
    span.span_id = b"12345678" if usual else draw(ids)
    span.parent_span_id = draw(ids) if not usual else draw(st.sampled_from([b"", b"abcdefgh"]))
    span.trace_state = draw(
        st.sampled_from(["", "", "", "ot=th:8", "a=" + "b" * 200] if usual else ["s" * 20_000])
    )
    span.name, span.flags = draw(names), draw(st.sampled_from([0, 1, 257]))
    span.kind = draw(st.integers(0, 5)) if not usual else draw(st.integers(1, 5))
    span.start_time_unix_nano = 10**18 if usual else draw(times)
    span.end_time_unix_nano = 10**18 + 5 if usual else draw(times)
    pairs = draw(st.lists(st.tuples(keys, values), max_size=4)) * draw(st.sampled_from([1, 1, 1, 60]))
    for key, value in pairs:
        span.attributes.add(key=key).value.string_value = value
    for _ in range(draw(st.integers(0, 2))):
        span.events.add(name=draw(names)).attributes.add(key=draw(keys))
        span.links.add(span_id=draw(ids), trace_id=b"l" * 16)
    span.dropped_attributes_count = draw(st.sampled_from([0, 3, 1000]))
    span.dropped_links_count = draw(st.sampled_from([0, 1]))
    if draw(st.booleans()):
        span.status.SetInParent()
        span.status.code = draw(st.integers(0, 2))
        span.status.message = draw(st.sampled_from(["", "no", "m" * 200]))
        span.status.SetInParent()
    return bytes(span.SerializeToString())


EXTRA = [
    b"\xfa\x01\x03new",  # field 31, unknown to this schema
    b"\xf8\x01\x05",
    b"\x7a\x02\x18\x02",  # a status again: the last one counts
    b"\x7a\x82\x00\x18\x02",  # length and code written longer than needed
    b"\x7a\x03\x18\x82\x00",
    b"\x48\x01",  # field 9 in another wire type
    b"\x12\x08ZZZZZZZZ",  # the span id again
    b"\x4b\x08\x01\x4c",  # a group
    b"\x4a\x12\x12\x00\x0a\x0eserver.address",  # a KeyValue that does not start with its key
    b"\x4a\x00",
    b"\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # kind -1
    b"\x7a\x01\xff",  # a status that is none: it says nothing
    b"\x4a\x7f",  # cut short
    b"\x41\x00",
    b"\x07",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
]


def wrapped(tag, content):
    size, length = len(content), bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes((tag,)) + bytes(length) + bytes((size,)) + content


PLAIN = b"\x0a\x10" + b"t" * 16 + b"\x12\x08abcdefgh" + b"\x30\x02\x39" + b"1" * 8 + b"\x41" + b"1" * 8
FILLING = wrapped(
    0x0A, wrapped(0x12, wrapped(0x12, PLAIN) * 80)
)  # with too many odd spans nothing is scanned


@st.composite
def bodies(draw):
    """Bodies of a few resources and scopes; some spans carry fields out of order, unknown, twice or broken."""
    body = b"" if draw(st.booleans()) else FILLING
    for _ in range(draw(st.integers(1, 2))):
        group = (
            wrapped(0x0A, b"\x0a\x15\x0a\x0cservice.name\x12\x05\x0a\x03pay")
            if draw(st.integers(0, 4))
            else b""
        )
        for _ in range(draw(st.integers(0, 2))):
            scope = draw(st.sampled_from([b"", b"\x0a\x05\x0a\x03lib"]))
            for _ in range(draw(st.integers(0, 4))):
                span = draw(fields())
                odd = draw(rarely(*EXTRA))
                scope += wrapped(0x12, odd + span if draw(st.booleans()) else span + odd)
            group += wrapped(0x12, scope + draw(rarely(b"\x1a\x03url", b"\x20\x01")))
        body += wrapped(0x0A, group + draw(rarely(b"\x1a\x03url", b"\xc2\x3e\x00")))
    return body + FILLING if body[: len(FILLING)] != FILLING else body


def read(body, few):
    try:
        return read_protobuf(body, now_ns=2**63, sampling_attribute="url.full", few=few)
    except OtlpError as error:
        return type(error), str(error)


def asserted_same(body):
    scanned, decoded = read(body, 0), read(body, MANY)
    if isinstance(decoded, tuple):
        assert scanned == decoded
        return
    for name in COLUMNS:
        mine, theirs = getattr(scanned, name), getattr(decoded, name)
        assert mine.dtype == theirs.dtype, name
        assert np.array_equal(mine, theirs), name
    assert (scanned.flaws, scanned.origins) == (decoded.flaws, decoded.origins)
    rows = decoded.row.tolist()
    assert scanned.rows.pick(rows, WANTED) == decoded.rows.pick(rows, WANTED)
    assert scanned.rows.pick(rows * 30, WANTED) == decoded.rows.pick(rows, WANTED) * 30
    assert [scanned.rows.links(row) for row in rows] == [decoded.rows.links(row) for row in rows]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(body=bodies())
@example(body=b"")
def test_a_scan_finds_what_a_decoder_finds(body):
    asserted_same(body)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(body=bodies(), data=st.data())
def test_a_damaged_body_is_read_or_refused_as_by_a_decoder(body, data):
    changed = bytearray(body)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed)))
        how = data.draw(st.sampled_from(["set", "cut", "insert", "drop"]))
        if how == "cut":
            del changed[at:]
        elif how == "drop":
            del changed[at : at + data.draw(st.integers(1, 3))]
        elif how == "insert":
            changed[at:at] = data.draw(st.binary(max_size=4))
        elif at < len(changed):
            changed[at] = data.draw(st.integers(0, 255))
    asserted_same(bytes(changed))


@pytest.mark.parametrize("path", BODIES, ids=lambda path: path.stem)
def test_bodies_of_a_real_sdk_are_scanned(path):
    body = path.read_bytes()
    assert isinstance(read(body, 0).rows, WireRows)
    asserted_same(body)


def test_a_body_of_few_spans_is_not_scanned():
    assert isinstance(read(BODIES[0].read_bytes(), MANY).rows, ProtoRows)


def test_a_body_cut_anywhere_is_read_or_refused_as_by_a_decoder():
    body = BODIES[0].read_bytes()
    for end in range(0, len(body), 7):
        asserted_same(body[:end])


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a\x05\x12",
        b"\x0a",
        b"\x0a\xff\xff\xff\xff\x7f",
        b"\x12\x00",
        b"\x0a\x04\x12\x02\x12\x05",
        b"\x0a\x02\x20\x01",
    ],
)
def test_an_outline_of_another_shape_is_left_to_the_decoder(body):
    assert outline(body) is None
