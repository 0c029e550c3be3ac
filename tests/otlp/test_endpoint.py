"""POST /v1/traces answers as a sender expects, and keeps nothing of what it refuses."""

from __future__ import annotations

import gzip
import io
import tracemalloc

import orjson
import pytest
import zstandard
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from collectors.otlp import OtlpCollector
from collectors.otlp_body import JSON, TooLarge, unpack
from tests.support.otlp_http import BODIES, RECORDED, answer, small_app
from tests.support.spans import CLIENT, PROTOBUF, S, body, request

GATEWAY = next(path for path in BODIES if "gateway_1" in path.name).read_bytes()
JSON_BODY = (RECORDED / "otlp" / "json_sdk_v1_traces-001.json").read_bytes()


@pytest.fixture
def collector():
    return OtlpCollector("test", max_body_bytes=200_000, max_spans=50)


@pytest.fixture
def client(collector):
    return small_app(collector).test_client()


def post(client, content, content_type=PROTOBUF, encoding=None):
    headers = {"Content-Encoding": encoding} if encoding else {}
    return client.post("/v1/traces", data=content, content_type=content_type, headers=headers)


@pytest.mark.parametrize(
    ("case", "content", "content_type", "encoding"),
    [
        ("ok_protobuf", GATEWAY, PROTOBUF, None),
        ("ok_protobuf_gzip", gzip.compress(GATEWAY), PROTOBUF, "gzip"),
        ("ok_json", JSON_BODY, JSON, None),
        ("empty_body", b"", PROTOBUF, None),
        ("err_content_type", b"hello", "text/plain", None),
    ],
)
def test_answers_are_byte_for_byte_those_of_a_real_backend(client, case, content, content_type, encoding):
    recorded = answer(case)
    got = post(client, content, content_type, encoding)
    assert (got.status_code, got.data.hex()) == (recorded["status"], recorded["hex"])
    assert got.mimetype == recorded["headers"]["Content-Type"]


@pytest.mark.parametrize(
    ("case", "content", "content_type", "encoding"),
    [
        ("err_garbage_protobuf", b"\xff\xfe garbage", PROTOBUF, None),
        ("err_garbage_json", b"{nope", JSON, None),
        ("err_bad_gzip", b"notgzip", PROTOBUF, "gzip"),
    ],
)
def test_errors_are_a_status_in_the_encoding_of_the_request(client, case, content, content_type, encoding):
    recorded = answer(case)
    got = post(client, content, content_type, encoding)
    assert got.status_code == recorded["status"]
    assert got.mimetype == recorded["headers"]["Content-Type"]
    assert status(got)[0] == 3


def status(got):
    if got.mimetype == JSON:
        found = orjson.loads(got.data)
        return found["code"], found["message"]
    found = Status.FromString(got.data)
    return found.code, found.message


def test_get_is_refused_and_told_what_is_allowed(client):
    recorded, got = answer("err_get"), client.get("/v1/traces")
    assert (got.status_code, got.text, got.mimetype) == (recorded["status"], recorded["text"], "text/plain")
    assert got.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    "content_type", ["text/html", "application/x-www-form-urlencoded", "application/grpc", None]
)
def test_foreign_content_types_are_unsupported(client, content_type):
    assert post(client, GATEWAY, content_type).status_code == 415


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_parameters_and_case_of_a_content_type_do_not_matter(client, content_type):
    got = post(client, JSON_BODY, content_type)
    assert (got.status_code, got.data) == (200, b'{"partialSuccess":{}}')


def test_zstd_bodies_are_read(client, collector):
    assert post(client, zstandard.compress(GATEWAY), encoding="zstd").status_code == 200
    assert collector.totals["spans"] == 8


def test_zstd_bodies_of_several_frames_are_read(client, collector):
    content = zstandard.compress(GATEWAY[:3000]) + zstandard.compress(GATEWAY[3000:])
    assert post(client, content, encoding="zstd").status_code == 200
    assert collector.totals["spans"] == 8


def test_gzip_bodies_of_several_members_are_read(client, collector):
    half = len(GATEWAY) // 2
    content = gzip.compress(GATEWAY[:half]) + gzip.compress(GATEWAY[half:])
    assert post(client, content, encoding="gzip").status_code == 200
    assert collector.totals["spans"] == 8


def truncated_zstd():
    return zstandard.compress(GATEWAY)[:-9]


@pytest.mark.parametrize(
    ("content", "encoding", "code"),
    [
        (GATEWAY[:-7], None, 400),
        (gzip.compress(GATEWAY)[:-9], "gzip", 400),
        (truncated_zstd(), "zstd", 400),
        (zstandard.compress(GATEWAY) + b"more", "zstd", 400),
        (gzip.compress(GATEWAY) + b"more", "gzip", 400),
        (b"not zstd", "zstd", 400),
        (gzip.compress(b"") * 1000, "gzip", 400),
        (zstandard.compress(b"") * 1000, "zstd", 400),
        (GATEWAY, "br", 415),
        (b"\0" * 200_001, None, 413),
        (gzip.compress(b"\0" * 5_000_000), "gzip", 413),
        (zstandard.compress(b"\0" * 5_000_000), "zstd", 413),
    ],
)
def test_bad_bodies_are_refused_and_nothing_is_kept(client, collector, content, encoding, code):
    got = post(client, content, encoding=encoding)
    assert got.status_code == code
    assert status(got)[1]
    assert collector.totals["spans"] == 0
    assert post(client, GATEWAY).status_code == 200


@pytest.mark.parametrize(("compress", "encoding"), [(gzip.compress, "gzip"), (zstandard.compress, "zstd")])
def test_a_bomb_is_never_unpacked_beyond_the_cap(compress, encoding):
    bomb = compress(b"\0" * 60_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            unpack(bomb, encoding, 200_000)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_body_that_says_it_is_too_large_is_not_even_read(client):
    unread = {"wsgi.input": Unreadable(), "CONTENT_LENGTH": "999999999"}
    got = client.post("/v1/traces", content_type=JSON, environ_overrides=unread)
    assert (got.status_code, status(got)[0]) == (413, 3)


class Unreadable(io.RawIOBase):
    def readable(self):
        return True

    def readinto(self, buffer):
        raise AssertionError("the body was read")


def broken(**changes):
    """A body of three spans, the second of which has something wrong."""
    made = request([S("a", CLIENT, id=i, parent=9) for i in (1, 2, 3)])
    span = made.resource_spans[1].scope_spans[0].spans[0]
    for name, value in changes.items():
        setattr(span, name, value)
    return made.SerializeToString()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"trace_id": bytes(16)}, "id"),
        ({"trace_id": b"short"}, "id"),
        ({"trace_id": b""}, "id"),
        ({"span_id": bytes(8)}, "id"),
        ({"span_id": b"123456789"}, "id"),
        ({"parent_span_id": b"1"}, "id"),
        ({"start_time_unix_nano": 0}, "times"),
        ({"end_time_unix_nano": 0}, "times"),
        ({"end_time_unix_nano": 2**64 - 1}, "times"),
        ({"start_time_unix_nano": 2**64 - 1}, "times"),
    ],
)
def test_single_bad_spans_are_rejected_and_the_others_kept(client, collector, changes, word):
    got = post(client, broken(**changes))
    assert got.status_code == 200
    partial: ExportTracePartialSuccess = ExportTraceServiceResponse.FromString(got.data).partial_success
    assert partial.rejected_spans == 1
    assert word in partial.error_message
    assert collector.totals["spans"] == 2


def test_json_says_rejected_spans_as_text_as_64_bit_integers_are(client):
    content = JSON_BODY.replace(b"bbab89bc8ba8a39da075afe0e443db79", b"u6uJvIuoo5ogda/g5EPbeQ==")
    partial = orjson.loads(post(client, content, JSON).data)["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert "invalid trace" in partial["errorMessage"]


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b'{"resourceSpans":null}',
        b'{"resourceSpans":[{"resource":null,"scopeSpans":[{"spans":null}]}]}',
    ],
)
def test_json_without_spans_is_a_legal_request(client, content):
    assert post(client, content, JSON).status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b'{"resourceSpans":{}}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"SPAN_KIND_SERVER"}]}]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"-5"}]}]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"endTimeUnixNano":"99999999999999999999999"}]}]}]}',
        b'{"a":' + b"[" * 100_000,
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"spanId":"\xff"}]}]}]}',
    ],
)
def test_json_that_is_no_trace_request_is_refused(client, content):
    got = post(client, content, JSON)
    assert (got.status_code, status(got)[0]) == (400, 3)


def test_a_full_buffer_asks_the_sender_to_come_back(client, collector):
    many = body(*(S("a", CLIENT, id=i, parent=9) for i in range(1, 31)))
    assert post(client, many).status_code == 200
    got = post(client, many)
    assert (got.status_code, got.headers["Retry-After"], status(got)[0]) == (429, "10", 8)
    assert collector.totals["spans"] == 30
    assert post(client, body(*(S("a", CLIENT, id=i, parent=9) for i in range(1, 52)))).status_code == 413


def test_without_a_cluster_there_is_no_place_for_spans():
    got = post(small_app(None).test_client(), GATEWAY)
    assert (got.status_code, status(got)[0]) == (404, 5)
