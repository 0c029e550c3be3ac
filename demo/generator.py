"""The fleet's calls as Tempo's metrics generator writes its service graph, with the flaws that it has.

A side without spans of its own is recorded with 0 s, a database has the same time on both sides, a counter of
failures begins with the first one, and nothing is finer than 100 ms. Source: grafana/tempo,
modules/generator/processor/servicegraphs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from app.model.series import Floats
from demo.catalog import Store
from demo.counting import NETWORK_SECONDS
from demo.labels import written
from demo.totals import OUTSIDE, Flow, Passed

_BASE = "traces_service_graph_request"
_FINEST = 0.1
_VIRTUAL, _DATABASE, _MESSAGING = "virtual_node", "database", "messaging_system"


@dataclass(frozen=True, slots=True)
class _Edge:
    """A line of the graph; `client`, `server`: the side records durations of its own."""

    source: str
    target: str
    connection: str
    counts: Floats
    seconds: float
    client: bool = True
    server: bool = True


def page(flows: Iterable[Flow], messages: Iterable[Passed], bounds: Floats) -> str:
    """The whole graph in Prometheus' text format."""
    edges = [*map(_edge, flows), *_hops(list(messages))]
    families = {
        f"{_BASE}_total": [line for edge in edges for line in _counter(edge, "total", edge.counts)],
        f"{_BASE}_failed_total": [
            line
            for edge in edges
            if edge.counts[1:].any()
            for line in _counter(edge, "failed_total", edge.counts[1:])
        ],
        f"{_BASE}_client_seconds": [line for edge in edges for line in _histogram(edge, "client", bounds)],
        f"{_BASE}_server_seconds": [line for edge in edges for line in _histogram(edge, "server", bounds)],
    }
    return "".join(_text(families))


def _edge(flow: Flow) -> _Edge:
    source = flow.source.name if flow.source else OUTSIDE
    if not isinstance(flow.target, Store):
        virtual = "" if flow.source else _VIRTUAL
        return _Edge(source, flow.target.name, virtual, flow.counts, flow.seconds, client=not virtual)
    foreign = flow.target.engine == "http"
    connection = _VIRTUAL if foreign else _DATABASE
    return _Edge(source, flow.target.host, connection, flow.counts, flow.seconds, server=not foreign)


def _hops(messages: list[Passed]) -> Iterator[_Edge]:
    """Producer to consumer, without the topic between; where several produce, by their share of what was sent."""
    for taken in (one for one in messages if one.consumer):
        sent = [one for one in messages if not one.consumer and one.topic == taken.topic]
        whole = sum(float(one.counts.sum()) for one in sent) or 1.0
        for one in sent:
            share = float(one.counts.sum()) / whole
            counts, seconds = np.round(taken.counts * share), taken.seconds * share
            yield _Edge(one.service.name, taken.service.name, _MESSAGING, counts, seconds)


def _labels(edge: _Edge) -> str:
    return written((("client", edge.source), ("connection_type", edge.connection), ("server", edge.target)))


def _counter(edge: _Edge, suffix: str, counts: Floats) -> Iterator[str]:
    yield f"{_BASE}_{suffix}{{{_labels(edge)}}} {counts.sum():.0f}\n"


def _histogram(edge: _Edge, side: str, bounds: Floats) -> Iterator[str]:
    """Cumulative buckets of a side; one without spans has all its requests at 0 s."""
    name, labels = f"{_BASE}_{side}_seconds", _labels(edge)
    counts, own = edge.counts.sum(axis=0), getattr(edge, side)
    total = float(counts.sum())
    if len(counts) == len(bounds) + 1:
        running = np.cumsum(counts) if own else np.full(len(counts), total)
        texts = [*(f"{bound:g}" for bound in bounds), "+Inf"]
        for bound, text, value in zip([*bounds, np.inf], texts, running.tolist(), strict=True):
            if bound >= _FINEST:
                yield f'{name}_bucket{{{labels},le="{text}"}} {value:.0f}\n'
    network = NETWORK_SECONDS * total if side == "server" and not edge.connection else 0.0
    yield f"{name}_sum{{{labels}}} {max(edge.seconds - network, 0.0) if own else 0.0:.6g}\n"
    yield f"{name}_count{{{labels}}} {total:.0f}\n"


def _text(families: dict[str, list[str]]) -> Iterator[str]:
    for family, lines in families.items():
        if lines:
            kind = "counter" if family.endswith("_total") else "histogram"
            kind = kind if kind == "counter" or "_bucket{" in lines[0] else "summary"
            yield f"# TYPE {family} {kind}\n"
            yield from lines
