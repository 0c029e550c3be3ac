"""A Prometheus API that says what a test tells it: metrics with labels, answers by a piece of the query's text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.support.http_fake import HttpFake, Reply, Request

Series = tuple[Mapping[str, str], float | str]


class FakePrometheus:
    """`metrics` maps a name to the labels it carries; `answers` a piece of a query to what it gives."""

    def __init__(self, metrics: Mapping[str, Iterable[str]] | None = None) -> None:
        self.metrics = {name: list(labels) for name, labels in (metrics or {}).items()}
        self.answers: list[tuple[str, Callable[[Request], Reply]]] = []
        self.vectors: list[tuple[str, list[Series], Mapping[str, Any]]] = []
        self.override: Callable[[Request], Reply | None] = lambda _request: None
        self.server = HttpFake(self._answer)
        self.url = self.server.url

    @property
    def queries(self) -> list[Request]:
        """The instant and range queries that came."""
        return [r for r in self.server.requests if r.path.endswith(("/query", "/query_range"))]

    def on(self, piece: str, series: Iterable[Series], **more: Any) -> None:
        """A query that contains `piece` answers these series as a vector, with those of its other pieces."""
        self.vectors.append((piece, list(series), more))

    def says(self, piece: str, reply: Reply) -> None:
        """A query that contains `piece` gets exactly this."""
        self.answers.insert(0, (piece, lambda _request: reply))

    def refuse(self, status: int, text: str = "") -> None:
        """Every request gets this status and text."""
        self.override = lambda _request: Reply(status, text.encode(), {"Content-Type": "text/plain"})

    def everything_says(self, reply: Reply) -> None:
        """Every request gets exactly this."""
        self.override = lambda _request: reply

    def well(self) -> None:
        """Answers as programmed again."""
        self.override = lambda _request: None

    def down(self) -> None:
        """Nobody listens."""
        self.server.down()

    def up(self) -> None:
        """Listens again."""
        self.server.up()

    def __enter__(self) -> FakePrometheus:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__()

    def _answer(self, request: Request) -> Reply:
        forced = self.override(request)
        if forced is not None:
            return forced
        if request.path.endswith("/label/__name__/values"):
            return good(sorted(self.metrics))
        if request.path.endswith("/labels"):
            return good(sorted({"__name__", *self.metrics.get(request.params["match[]"], [])}))
        for piece, reply in self.answers:
            if piece in request.params.get("query", ""):
                return reply(request)
        query = request.params.get("query", "")
        matching = [(series, more) for piece, series, more in self.vectors if piece in query]
        held = [one for series, _ in matching for one in series]
        return _vector(request, held, matching[0][1] if matching else {})


def good(data: object, **more: Any) -> Reply:
    """The envelope of success."""
    return Reply(200, json.dumps({"status": "success", "data": data, **more}).encode())


def _vector(request: Request, series: list[Series], more: Mapping[str, Any]) -> Reply:
    if request.path.endswith("/query_range"):
        start, end = float(request.params["start"]), float(request.params["end"])
        step = float(request.params["step"])
        times = [start + i * step for i in range(int((end - start) / step + 1.0001))]
        rows = [{"metric": dict(m), "values": [[t, str(v)] for t in times]} for m, v in series]
        return good({"resultType": "matrix", "result": rows}, **more)
    at = float(request.params["time"])
    rows = [{"metric": dict(m), "value": [at, str(v)]} for m, v in series]
    return good({"resultType": "vector", "result": rows}, **more)
