"""A Prometheus that fails in every way it can, under a running server: what is said, what stays, how it recovers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.acceptance import Person, Quarterdeck, Stack, cluster, until, words
from tests.support.fake_prometheus import FakePrometheus
from tests.support.http_fake import Reply, Request

SERVER = "http_server_request_duration_seconds"
CLIENT = "http_client_request_duration_seconds"
LABELS = ("service", "namespace", "status_code", "job")
RATES = {"gateway": 20.0, "order": 10.0}


def _series(tag: str) -> list[tuple[dict[str, str], float]]:
    rows = []
    for name, rate in RATES.items():
        own = {"qd": tag, "service": name, "namespace": "shop", "status_code": "200"}
        rows.append((own, rate))
    return rows


def _program(fake: FakePrometheus) -> None:
    calls = [
        (
            {
                "qd": "0n",
                "service": "gateway",
                "namespace": "shop",
                "server_address": "order",
                "server_port": "80",
                "status_code": "200",
            },
            9.0,
        )
    ]
    fake.answers.clear()
    fake.on(f"{CLIENT}_count", calls)
    fake.on(f"{SERVER}_count", _series("0n"))
    fake.on(f"{SERVER}_bucket", [({**row, "le": "+Inf"}, rate) for row, rate in _series("0b")])


@pytest.fixture(scope="module")
def fake() -> Iterator[FakePrometheus]:
    metrics = {f"{SERVER}_count": LABELS, f"{SERVER}_bucket": (*LABELS, "le")}
    metrics[f"{CLIENT}_count"] = (*LABELS, "server_address", "server_port")
    with FakePrometheus(metrics) as server:
        _program(server)
        yield server


@pytest.fixture(scope="module")
def deck(fake, tmp_path_factory) -> Iterator[Quarterdeck]:
    source = {"url": fake.url, "interval": "1s", "query_timeout": "1s"}
    made = Quarterdeck({"clusters": [cluster(prometheus=source)]}, tmp_path_factory.mktemp("faults"))
    made.cast()
    made.begin()
    yield made
    assert made.stop() == 0


@pytest.fixture(scope="module")
def bob(deck) -> Person:
    return deck.person("bob")


@pytest.fixture
def well(fake, deck, bob) -> Iterator[Stack]:
    """Everything is well before; and after each fault it recovers by itself."""
    stack = Stack(None, None, deck)  # type: ignore[arg-type]
    until(lambda: stack.status(bob, "order") == "healthy", seconds=40)
    yield stack
    fake.server.release()
    fake.well()
    _program(fake)
    until(lambda: stack.source(bob, "prometheus")["status"] == "ok", seconds=40)
    until(lambda: stack.status(bob, "order") == "healthy", seconds=40)


WALREPLAY = {"status": "success", "data": {"min": 0, "max": 20, "current": 5}}


def _starting(request: Request) -> Reply:
    if request.path.endswith("walreplay"):
        return Reply(200, json.dumps(WALREPLAY).encode())
    return Reply(503, b"Service Unavailable", {"Content-Type": "text/plain"})


def _flood(_request: Request) -> Reply:
    return Reply(200, (b" " * 1_000_000 for _ in range(400)))


def _matrix(_request: Request) -> Reply:
    return Reply(200, b'{"status":"success","data":{"resultType":"string","result":[1,"<b>x</b>"]}}')


FAULTS = {
    "401": (lambda _r: Reply(401, b"who are you"), "refused", "refused our credentials (401)"),
    "403": (lambda _r: Reply(403, b"<html>no</html>"), "refused", "refused our credentials (403)"),
    "500": (lambda _r: Reply(500, b"oops"), "down", "answered 500"),
    "starting": (_starting, "starting", "is starting: 5 of 20 segments"),
    "html": (lambda _r: Reply(200, b"<html><script>alert(1)</script>"), "nonsense", "not Prometheus' JSON"),
    "truncated": (lambda _r: Reply(200, b'{"status":"success","data":{"resu'), "nonsense", "not Prometheus"),
    "wrong type": (_matrix, "nonsense", "string"),
    "redirect": (lambda _r: Reply(302, b"", {"Location": "http://evil.example/"}), "nonsense", "redirect"),
    "flood": (_flood, "down nonsense", ""),
    "empty": (lambda _r: Reply(200, b""), "nonsense", "not Prometheus"),
    "list": (lambda _r: Reply(200, b"[]"), "nonsense", "not Prometheus"),
    "null data": (lambda _r: Reply(200, b'{"status":"success","data":null}'), "nonsense", ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_nothing_stays_healthy(well, fake, bob, fault):
    script, status, sentence = FAULTS[fault]
    log = well.deck.log()
    fake.override = script
    found = until(lambda: (one := well.source(bob, "prometheus"))["status"] != "ok" and one, seconds=20)
    assert found["status"] in status
    assert sentence in found["error"]
    assert found["since"] is not None
    assert found["as_of"] is not None
    _pages_say_so(bob, found)
    if fault in ("403", "starting"):
        until(lambda: well.status(bob, "order") == "unknown", seconds=40)
        _nothing_is_called_healthy(bob)
    fake.well()
    until(lambda: well.source(bob, "prometheus")["status"] == "ok", seconds=40)
    new = well.deck.log().removeprefix(log)
    assert new.count("demo/prometheus is ") == 1, new
    assert new.count("demo/prometheus answers again") == 1, new
    assert "Traceback" not in new


def _pages_say_so(bob: Person, found: dict[str, object]) -> None:
    sources = bob.read("/settings/sources")
    assert f"{found['status']} since" in sources
    fleet = bob.page("/")
    assert "demo/prometheus : last data" in words(fleet)
    assert str(found["status"]) in words(fleet)
    assert "<script>alert" not in fleet


def _nothing_is_called_healthy(bob: Person) -> None:
    assert "2 unknown" in bob.read("/")
    assert "no data from prometheus since" in bob.read("/services/demo/shop/order")
    assert "connections as usual" not in bob.read("/topology")


def test_silence_beyond_the_timeout_is_down(well, fake, bob):
    fake.server.hang()
    found = until(lambda: (one := well.source(bob, "prometheus"))["status"] == "down" and one, seconds=20)
    assert "did not answer within 1 s" in found["error"]


def test_numbers_that_are_none_are_unknown_and_said(well, fake, bob):
    bad = [(row, "NaN" if row["service"] == "order" else rate) for row, rate in _series("0n")]
    fake.says(f"{SERVER}_count", _vector(bad))
    until(lambda: "NaN" in str(_notices(bob)), seconds=20)
    fake.says(f"{SERVER}_count", _vector([(row, "+Inf") for row, _ in _series("0n")]))
    until(lambda: "infinite" in str(_notices(bob)), seconds=20)
    assert "infinite" in bob.read("/settings/sources")
    shown = bob.get("/api/v1/topology").json()
    assert "NaN" not in str([shown["nodes"], shown["edges"]])
    assert "nan" not in str([shown["nodes"], shown["edges"]]).split()
    assert "inf" not in bob.read("/services/demo/shop/order").casefold().replace("inferred", "")


def test_one_query_that_fails_leaves_the_others(well, fake, bob):
    until(lambda: bob.api("/api/v1/topology")["edges"], seconds=20)
    fake.says(
        f"{CLIENT}_count", Reply(422, b'{"status":"error","errorType":"execution","error":"many-to-many"}')
    )
    until(lambda: "client-metrics could not be read" in str(_notices(bob)), seconds=20)
    assert well.status(bob, "order") == "healthy"
    assert well.source(bob, "prometheus")["status"] == "ok"
    assert "client-metrics could not be read" in bob.read("/settings/sources")
    assert "many-to-many" in bob.read("/settings/sources")


def _vector(rows) -> Reply:
    result = [{"metric": row, "value": [0, str(value)]} for row, value in rows]
    body = {"status": "success", "data": {"resultType": "vector", "result": result}}
    return Reply(200, json.dumps(body).encode())


def _notices(bob: Person) -> object:
    return bob.api("/api/v1/topology")["notices"]
