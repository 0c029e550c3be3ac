"""Spans sent to the running server by broken, hostile and real senders."""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
import requests
from google.rpc.status_pb2 import Status

from app import clock
from tests.support.acceptance import Person, Quarterdeck, until
from tests.support.spans import CLIENT, PROTOBUF, SERVER, S, body, request

JSON = "application/json"
LIMIT = 300_000
SPANS = 2_000


@pytest.fixture(scope="module")
def deck(tmp_path_factory) -> Iterator[Quarterdeck]:
    config = {
        "clusters": [{"name": "demo"}],
        "otlp": {"max_body_bytes": LIMIT, "max_spans": SPANS},
    }
    made = Quarterdeck(config, tmp_path_factory.mktemp("otlp"))
    made.cast()
    made.begin()
    yield made
    assert "Traceback" not in made.log()
    assert made.stop() == 0


@pytest.fixture(scope="module")
def bob(deck) -> Person:
    return deck.person("bob")


def send(deck: Quarterdeck, content: bytes, content_type: str | None = PROTOBUF, **headers: str):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if content_type:
        named["Content-Type"] = content_type
    return requests.post(f"{deck.url}/v1/traces", content, headers=named, timeout=20)


def now_body(*spans: S) -> bytes:
    return body(*spans, now=clock.now())


def counter(deck: Quarterdeck, name: str) -> float:
    """The sum of a counter over its labels, from /metrics."""
    text = deck.token("read").get("/metrics").text
    found = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name)]
    assert "# TYPE quarterdeck_otlp_total counter" in text
    return sum(float(value) for _, value in found)


BAD = {
    "garbage": (b"\xff\xfe\x00garbage", PROTOBUF, {}, 400),
    "garbage json": (b'{"resourceSpans": [', JSON, {}, 400),
    "json of another kind": (b'{"resourceSpans": {"a": 1}}', JSON, {}, 400),
    "truncated": (body(S("a", SERVER))[:-7], PROTOBUF, {}, 400),
    "not gzip": (b"hello", PROTOBUF, {"Content_Encoding": "gzip"}, 400),
    "cut gzip": (gzip.compress(body(S("a", SERVER)))[:-9], PROTOBUF, {"Content_Encoding": "gzip"}, 400),
    "bomb": (gzip.compress(b"\0" * 50_000_000), PROTOBUF, {"Content_Encoding": "gzip"}, 413),
    "oversized": (b"\0" * 12_000_000, PROTOBUF, {}, 413),
    "text": (b"hello", "text/plain", {}, 415),
    "untyped": (b"hello", None, {}, 415),
    "brotli": (b"hello", PROTOBUF, {"Content_Encoding": "br"}, 415),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_refused_precisely_and_nothing_is_kept(deck, bob, case):
    content, content_type, headers, status = BAD[case]
    answer = send(deck, content, content_type, **headers)
    assert answer.status_code == status
    if status != 415:
        assert answer.headers["Content-Type"] == content_type
        message = (
            answer.json()["message"] if content_type == JSON else Status.FromString(answer.content).message
        )
        assert 5 < len(message) < 300
    assert counter(deck, 'quarterdeck_otlp_total{what="spans"') == 0
    assert bob.api("/api/v1/topology")["nodes"] == []


def test_other_methods_are_told_what_is_allowed(deck):
    for method in ("GET", "PUT", "DELETE"):
        answer = requests.request(method, f"{deck.url}/v1/traces", timeout=5)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_a_sender_that_stops_in_the_middle_holds_up_nobody(deck, bob):
    slow = [socket.create_connection(("127.0.0.1", deck.port)) for _ in range(20)]
    try:
        for one in slow:
            one.sendall(
                b"POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-protobuf\r\n"
                b"Content-Length: 1000\r\n\r\nab"
            )
        assert send(deck, b"").status_code == 200
        assert bob.get("/").status_code == 200
    finally:
        for one in slow:
            one.close()


def test_a_web_page_cannot_send_spans(deck):
    assert send(deck, b"", Origin="http://evil.example").status_code in (401, 403)
    assert send(deck, b"", Host="evil.example").status_code in (400, 401, 403, 421)


LONG = "x" * 10_000
HOSTILE = "<b>\u202e‮{{7*7}}</b>\x07" + "n" * 200


def test_odd_spans_are_counted_cut_or_left_out_and_the_rest_is_kept(deck, bob):
    zero = request([S("zero-ids", SERVER)], now=clock.now())
    span = zero.resource_spans[0].scope_spans[0].spans[0]
    span.trace_id, span.span_id = bytes(16), bytes(8)
    answer = send(deck, zero.SerializeToString())
    assert answer.status_code == 200
    old = body(S("from-1970", SERVER, id=2), now=datetime(1970, 1, 2, tzinfo=UTC))
    future = body(S("from-2100", SERVER, id=3), now=datetime(2100, 1, 1, tzinfo=UTC))
    assert send(deck, old).status_code == 200
    assert send(deck, future).status_code == 200
    odd = [
        S(LONG, SERVER, id=4, trace=4),
        S(HOSTILE, SERVER, id=5, trace=5),
        S("plain", SERVER, id=6, trace=6),
        S(
            "plain",
            CLIENT,
            id=7,
            parent=6,
            trace=6,
            attributes={"db.system.name": LONG, "server.address": f"db{HOSTILE}"},
        ),
    ]
    assert send(deck, now_body(*odd)).status_code == 200
    nodes = until(lambda: bob.api("/api/v1/topology")["nodes"], seconds=40)
    names = {node["name"] for node in nodes}
    assert "plain" in names
    assert not {"zero-ids", "from-1970", "from-2100"} & names
    assert all(len(node["name"]) <= 600 and node["name"].isprintable() for node in nodes)
    page = bob.page("/")
    assert "<b>" not in page
    assert "{{7*7}}" in page
    for node in nodes:
        if node["kind"] == "service":
            path = "/".join(quote(part, safe="") for part in node["id"].split(":", 2))
            bob.page(f"/services/{path}")
            assert bob.api(f"/api/v1/services/{quote(node['id'], safe='')}")["id"] == node["id"]


def test_a_full_buffer_says_when_to_come_back(deck, bob):
    before = counter(deck, 'quarterdeck_otlp_total{what="spans"')
    answers = []
    for part in range(12):
        spans = [S("flood", CLIENT, id=part * 1000 + i + 1, trace=part * 1000 + i + 1) for i in range(900)]
        answers.append(send(deck, gzip.compress(now_body(*spans)), Content_Encoding="gzip"))
    full = [one for one in answers if one.status_code == 429]
    assert {one.status_code for one in answers} <= {200, 429}
    assert full
    assert int(full[0].headers["Retry-After"]) >= 1
    assert "full" in Status.FromString(full[0].content).message or Status.FromString(full[0].content).message
    assert counter(deck, 'quarterdeck_otlp_total{what="spans"') > before
    assert counter(deck, 'quarterdeck_otlp_total{what="refused"') > 0
    assert bob.get("/").status_code == 200


PROGRAM = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

provider = TracerProvider(resource=Resource.create({"service.name": "my-program", "service.namespace": "mine"}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=sys.argv[1])))
tracer = provider.get_tracer("t")
for _ in range(5):
    with tracer.start_as_current_span("GET /", kind=trace.SpanKind.SERVER):
        attributes = {"db.system.name": "postgresql", "server.address": "my-db", "server.port": 5432}
        with tracer.start_as_current_span("SELECT", kind=trace.SpanKind.CLIENT, attributes=attributes):
            pass
provider.shutdown()
"""


def test_a_program_with_the_real_sdk_appears_within_fifteen_seconds(tmp_path):
    deck = Quarterdeck(
        {"clusters": [{"name": "demo", "prometheus": {"url": "http://127.0.0.1:9", "interval": "5s"}}]},
        tmp_path,
    )
    deck.cast()
    deck.begin()
    try:
        bob = deck.person("bob")
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, f"{deck.url}/v1/traces"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        sent = clock.now()
        nodes = until(lambda: bob.api("/api/v1/topology")["nodes"], seconds=20)
        assert clock.now() - sent < timedelta(seconds=15.5)
        names = {node["name"] for node in nodes}
        assert {"my-program", "postgresql@my-db:5432"} <= names
        assert "my-program" in bob.read("/")
    finally:
        deck.stop()
