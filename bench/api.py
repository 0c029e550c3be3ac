"""The topology document: `jsonify` per request against bytes made once per tick, with session and headers.

In-process WSGI requests over a fleet with five edges per service. The chosen way goes through the whole
application: session, limits, security headers. Environment: SIZE, ROUNDS.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import zstandard
from werkzeug.test import EnvironBuilder, run_wsgi_app

from app import api, clock
from app.factory import create_app, tune_collector
from app.web.limits import LIMITS, Limit, Limits
from bench.harness import compare, growth, load, provenance, sizes
from bench.naive.api import make_app
from tests.support.small_fleet import big_topology, put_topology
from tests.support.web import CAST, make_config, make_store

ADDRESS = "/api/v1/topology"
FORMS = {
    "rows, zstd": ("", {"Accept-Encoding": "zstd"}),
    "rows, gzip": ("", {"Accept-Encoding": "gzip"}),
    "columns, zstd": ("?format=columnar", {"Accept-Encoding": "zstd"}),
}


class Server:
    """The application over a store that holds the fleet, asked by somebody who is signed in."""

    def __init__(self, place: Path, services: int) -> None:
        from app.store import sessions, users

        self.time = 0.0  # stands still between ticks, so that a cached answer is what is measured
        self.store = make_store(place)
        put_topology(self.store, big_topology(services, services * 5))
        with self.store.begin() as session:
            users.add(session, "bob", CAST["bob"], "no password")
            secret, _ = sessions.start(session, "bob")
        self.app = create_app(
            make_config(place), self.store, blueprints=api.BLUEPRINTS, monotonic=lambda: self.time
        )
        parts = self.app.extensions["quarterdeck"]
        parts.limits = Limits({name: Limit(10**9, one.per) for name, one in LIMITS.items()})
        self._cookie = {"Cookie": f"qd_dev={secret}"}

    def new_tick(self) -> tuple[int, bytes]:
        """The first request after everything moved on: read, build, compress."""
        self.time += 60.0
        return self.request("", {"Accept-Encoding": "zstd"})()

    def alone(self) -> tuple[int, bytes]:
        """A request after a pause within a tick: session and revision are read from the store again."""
        parts = self.app.extensions["quarterdeck"]
        parts.accounts._believed.clear()
        parts.reader.forget()
        return self.request("", {"Accept-Encoding": "zstd"})()

    def request(self, query: str, headers: dict[str, str]) -> Callable[[], tuple[int, bytes]]:
        """A function that sends this request."""
        environ = EnvironBuilder(ADDRESS + query, headers=self._cookie | headers).get_environ()
        return lambda: ask(self.app.wsgi_app, environ)


def ask(app: Any, environ: dict[str, Any]) -> tuple[int, bytes]:
    """Status and body."""
    body, status, _ = run_wsgi_app(app, dict(environ))
    return int(status[:3]), b"".join(body)


def plain(answer: tuple[int, bytes]) -> dict[str, Any]:
    """The document in an answer, without what moves by itself."""
    body = answer[1]
    if body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    elif body[:4] == b"\x28\xb5\x2f\xfd":
        body = zstandard.decompress(body)
    found: dict[str, Any] = orjson.loads(body)
    return {"nodes": found["nodes"], "edges": found["edges"]}


def one_size(services: int) -> float:
    """Print every case of one fleet; CPU seconds of one cached answer."""
    with tempfile.TemporaryDirectory() as place:
        server = Server(Path(place), services)
        rows = orjson.loads(server.request("", {})()[1])
        naive_app = make_app(rows)
        environ = EnvironBuilder(ADDRESS).get_environ()
        tune_collector()

        def naive() -> tuple[int, bytes]:
            return ask(naive_app.wsgi_app, environ)

        cost, repeat = 0.0, 20 if services <= 100 else 4
        for name, (query, headers) in FORMS.items():
            chosen = server.request(query, headers)
            same = None if query else lambda one, other: plain(one) == plain(other)
            case = f"topology {services:,} services, {name}, {len(chosen()[1]) / 1000:.0f} kB"
            result = compare(case, naive, chosen, same=same, repeat=repeat)
            cost = cost or result.chosen[1]
            print(result)
        print(_unchanged(server, services, naive, repeat))
        print(
            compare(f"topology {services:,} services, caller asks alone", naive, server.alone, repeat=repeat)
        )
        print(compare(f"topology {services:,} services, new tick", naive, server.new_tick))
        server.store.dispose()
    return cost


def _unchanged(server: Server, services: int, naive: Callable[[], object], repeat: int) -> object:
    headers = {"Accept-Encoding": "zstd"}
    environ = EnvironBuilder(ADDRESS, headers=server._cookie | headers).get_environ()
    _, _, answered = run_wsgi_app(server.app.wsgi_app, environ)
    again = server.request("", headers | {"If-None-Match": answered["ETag"]})
    assert again()[0] == 304
    return compare(f"topology {services:,} services, unchanged", naive, again, repeat=repeat)


def main() -> None:
    """All sizes."""
    print(provenance(0, f"sizes {sizes()}, {clock.now():%Y-%m-%d}"))
    costs = [(services, one_size(services)) for services in sizes()]
    if len(costs) > 1:
        print(f"cached answer: {growth(costs)}")
    print(load())


if __name__ == "__main__":
    main()
