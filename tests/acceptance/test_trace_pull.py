"""Trace backends under a running server: their calls on the map, what is said of one that fails, and a reload."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests

from app import clock
from tests.support.acceptance import Person, Quarterdeck, cluster, until
from tests.support.fake_prometheus import FakePrometheus
from tests.support.fake_traces import FakeJaeger, FakeTempo, FakeTraces, call, steady
from tests.support.http_fake import Reply
from tests.support.spans import PROTOBUF, body

PER_SECOND = 3
PAST, FUTURE = 150, 150  # seconds of traces before and after the start
RATES = {
    "user>gateway": 3.0,
    "gateway>catalog": 3.0,
    "catalog>postgresql@pg-1:5432": 3.0,
    "user>billing": 3.0,
    "billing>ledger": 3.0,
    "ledger>postgresql@pg-1:5432": 3.0,
}
LATER = {"user>search": 3.0, "search>index": 3.0, "index>postgresql@pg-1:5432": 3.0}


class LiveJaeger(FakeJaeger):
    """Shows spans as time really goes by."""

    now = property(lambda self: clock.now(), lambda self, value: None)  # type: ignore[assignment]


class LiveTempo(FakeTempo):
    """Shows spans as time really goes by."""

    now = property(lambda self: clock.now(), lambda self, value: None)  # type: ignore[assignment]


class Site:
    """A server with a Jaeger API and a Tempo, and a second Tempo that it does not know yet."""

    def __init__(self, deck: Quarterdeck, jaeger: FakeTraces, tempo: FakeTraces, other: FakeTraces) -> None:
        self.deck, self.jaeger, self.tempo, self.other = deck, jaeger, tempo, other
        self.bob: Person = deck.person("bob")

    def rates(self) -> dict[str, float | None]:
        """Requests a second by `source>target`."""
        found = self.bob.api("/api/v1/topology")
        names = {node["id"]: node["name"] for node in found["nodes"]}
        return {f"{names[one['source']]}>{names[one['target']]}": one["rps"] for one in found["edges"]}

    def told(self, wanted: dict[str, float]) -> bool:
        """Whether exactly these edges are drawn, each with its rate."""
        assert self.rates() == pytest.approx(wanted, rel=0.05)
        return True

    def source(self, name: str) -> dict[str, Any]:
        """Freshness of a source."""
        sources = self.bob.api("/api/v1/status")["sources"]
        return next(one for one in sources if one["source"] == f"demo/{name}")

    def lines(self, words: str) -> int:
        """How many lines of the log hold these words."""
        return sum(words in line for line in self.deck.log().splitlines())


def _backend(fake: FakeTraces, kind: str, name: str) -> dict[str, Any]:
    link = f"https://{name}.example/trace/{{trace_id}}"
    timing = {"interval": "2s", "query_timeout": "1s", "look_back": "2m"}
    return {"kind": kind, "url": fake.url, "name": name, "link": link, **timing}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with FakePrometheus({}) as pace, LiveJaeger() as jaeger, LiveTempo() as tempo, LiveTempo() as other:
        begin = clock.now() - timedelta(seconds=PAST)
        _store(jaeger, begin, 1, ("gateway", "catalog"))
        _store(tempo, begin, 10_001, ("billing", "ledger"))
        _store(other, begin, 20_001, ("search", "index"))
        traces = [_backend(jaeger, "jaeger", "jaeger"), _backend(tempo, "tempo", "tempo")]
        # A map is drawn as often as Prometheus is looked at, and this one has nothing to say.
        paced = cluster(prometheus={"url": pace.url, "interval": "2s", "query_timeout": "1s"})
        config = {"clusters": [paced | {"traces": traces}]}
        deck = Quarterdeck(config, tmp_path_factory.mktemp("pull"))
        deck.cast()
        deck.begin()
        try:
            yield Site(deck, jaeger, tempo, other)
        finally:
            code = deck.stop()
        assert "Traceback" not in deck.log()
        assert code == 0


def _store(fake: FakeTraces, begin: datetime, first: int, services: tuple[str, str]) -> None:
    steady([fake], begin=begin, seconds=PAST + FUTURE, per_second=PER_SECOND, first=first, services=services)


def test_calls_of_both_backends_are_drawn_with_their_true_rates(site: Site) -> None:
    until(lambda: site.told(RATES), seconds=30)
    edges = site.bob.api("/api/v1/topology")["edges"]
    assert {word["source"] for edge in edges for word in edge["evidence"]} == {"traces"}
    assert {site.source(name)["status"] for name in ("jaeger", "tempo", "traces")} == {"ok"}


def test_the_page_of_sources_names_both(site: Site) -> None:
    words = site.bob.read("/settings/sources")
    assert "demo/jaeger" in words
    assert "demo/tempo" in words


@pytest.mark.parametrize("failure", ["hangs", "is gone", "429"])
def test_a_backend_that_fails_is_told_once_while_the_other_is_read_on(site: Site, failure: str) -> None:
    down, again = site.lines("demo/jaeger is down"), site.lines("demo/jaeger answers again")
    begin, end = {
        "hangs": (site.jaeger.server.hang, site.jaeger.server.release),
        "is gone": (site.jaeger.server.down, site.jaeger.server.up),
        "429": (lambda: site.jaeger.override.update({"/": _too_many()}), site.jaeger.override.clear),
    }[failure]
    begin()
    until(lambda: site.source("jaeger")["status"] == "down")
    before = site.source("tempo")["as_of"]
    until(lambda: site.source("tempo")["as_of"] > before)
    assert (site.source("jaeger")["status"], site.source("tempo")["status"]) == ("down", "ok")
    end()
    until(lambda: site.source("jaeger")["status"] == "ok")
    assert site.lines("demo/jaeger is down") == down + 1
    assert site.lines("demo/jaeger answers again") == again + 1


def _too_many() -> Reply:
    return Reply(429, b"slow down", {"Content-Type": "text/plain", "Retry-After": "1"})


def test_spans_that_are_pushed_as_well_count_once(site: Site) -> None:
    ended = threading.Event()
    sender = threading.Thread(target=_push, args=(site, ended))
    sender.start()
    try:
        taken = until(lambda: _total(site, "spans") > 240 and _total(site, "pulled"))
        until(lambda: _total(site, "pulled") > taken + 60)
        until(lambda: site.told(RATES))
    finally:
        ended.set()
        sender.join()


def _push(site: Site, ended: threading.Event) -> None:
    """What gateway and catalog do, second by second, as SDKs would send it."""
    begin = datetime.fromtimestamp(
        min(one.start for one in site.jaeger.traces.values()) / 1e9, clock.now().tzinfo
    )
    sent = int((clock.now() - begin).total_seconds() * PER_SECOND) - 20 * PER_SECOND
    while not ended.wait(0.5):
        last = int((clock.now() - begin).total_seconds() * PER_SECOND)
        for number in range(sent, last):
            spans = body(*call(number + 1), now=begin + timedelta(seconds=number / PER_SECOND))
            answer = requests.post(
                f"{site.deck.url}/v1/traces", spans, headers={"Content-Type": PROTOBUF}, timeout=5
            )
            assert answer.status_code == 200
        sent = last


def _total(site: Site, what: str) -> float:
    text = site.deck.token("read").get("/metrics").text
    lines = [
        line
        for line in text.splitlines()
        if line.startswith("quarterdeck_otlp_total") and f'"{what}"' in line
    ]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def test_a_backend_joins_by_a_reload_without_a_restart(site: Site) -> None:
    assert site.deck.process is not None
    before = site.deck.process.pid
    site.deck.config["clusters"][0]["traces"].append(_backend(site.other, "tempo", "other"))
    site.deck.rewrite()
    site.deck.process.send_signal(signal.SIGHUP)
    until(lambda: site.told(RATES | LATER), seconds=30)
    assert site.source("other")["status"] == "ok"
    assert (site.deck.process.pid, site.deck.process.poll()) == (before, None)
