"""One service or node as a tile: its three telling numbers with their last hour, and whether they are old."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.model.fleet import HealthStatus, Node, Topology
from app.pages import format as form
from app.pages import freshness, spark, timerange
from app.web.services import services

QUIET = (HealthStatus.HEALTHY, HealthStatus.IDLE)

Words = Callable[[float | None], str]

# Column of the reader -> label, how its values are written, and what its reason codes contain.
_SERIES: dict[str, tuple[str, Words, str]] = {
    "error_ratio": ("errors", form.ratio, "error"),
    "p95": ("p95", form.latency, "latency"),
    "rps": ("rate", form.rate, "volume"),
}


class Fact(NamedTuple):
    """A number with its label; `tone` is a health token where this number is the reason."""

    label: str
    value: str
    drawn: spark.Spark | None
    tone: str


@dataclass(frozen=True, slots=True)
class Tile:
    """A node as shown: why it is not healthy, whether its values are old, and its facts."""

    node: Node
    reason: str
    stale: bool
    facts: tuple[Fact, ...]

    @property
    def quiet(self) -> bool:
        """Whether one line is enough for it."""
        return self.node.health.status in QUIET


def tiles(nodes: Sequence[Node], topology: Topology) -> list[Tile]:
    """Tiles in the order of the nodes; the last hour is read for those that need a look only."""
    frozen = timerange.requested().frozen
    loud = [] if frozen else [node.id for node in nodes if node.health.status not in QUIET]
    reader = services().reader
    series = {name: reader.spark(loud, name) if loud else {} for name in _SERIES}
    old = not frozen and freshness.is_old(topology)
    return [_tile(node, series, stale=old or _lags(node, topology)) for node in nodes]


def _lags(node: Node, topology: Topology) -> bool:
    return node.as_of is not None and topology.as_of - node.as_of > freshness.STALE_AFTER


def _tile(node: Node, series: Mapping[str, Mapping[str, spark.Values]], *, stale: bool) -> Tile:
    values = {
        "error_ratio": form.ratio(node.error_ratio, requests=node.requests),
        "p95": form.quantile(node.latency, "p95"),
        "rps": form.about(node) + form.rate(node.rps),
    }
    facts = tuple(_fact(node, name, values[name], series[name].get(node.id)) for name in _SERIES)
    reason = node.health.reasons[0].message if node.health.reasons else ""
    return Tile(node, reason, stale, facts)


def _fact(node: Node, name: str, value: str, points: spark.Values | None) -> Fact:
    label, words, hint = _SERIES[name]
    at = form.clock_time(node.as_of, timerange.requested().zone)
    drawn = spark.draw(points, label, words, span="last hour", at=at) if points else None
    token = form.mark(node.health.status).token
    blamed = token in ("crit", "warn") and any(hint in reason.code for reason in node.health.reasons)
    return Fact(label, value, drawn, token if blamed else "")
