"""The fleet's exporters: what the processes have counted, in Prometheus' text format, and where to scrape it.

In the small fleet every pod has its own page; above 100 services a node's page carries its pods' series.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from app import clock
from app.model.series import Floats
from demo import evidence, generator, proxies
from demo.catalog import Topic
from demo.evidence import Evidence
from demo.labels import CLIENT, DATABASE, PROCESS, SEND, SERVER, Labels, Metric, called, served, written
from demo.model import Fleet

METRICS_PORT = 9464
_MOST_LAYOUTS = 20_000  # pods come and go for days; laying all out again costs a second
_HISTOGRAMS = (SERVER, CLIENT, DATABASE, PROCESS, SEND)
_COUNTERS = ("process_cpu_seconds_total", "container_cpu_usage_seconds_total")
_HELP = {
    SERVER: "Duration of HTTP server requests.",
    CLIENT: "Duration of HTTP client requests.",
    DATABASE: "Duration of database client operations.",
    PROCESS: "Duration of processing a message.",
    SEND: "Duration of a messaging client operation.",
}


class NoSuchPod(KeyError):
    """No pod or node of that name, or it does not answer."""


@dataclass(frozen=True, slots=True)
class _Histogram:
    """A series: the rows of its pod that are added up, their outcome, and its lines before the number."""

    family: str
    rows: tuple[int, ...]
    outcome: int
    buckets: tuple[str, ...]
    total: str
    count: str


@dataclass(frozen=True, slots=True)
class _Layout:
    """All histograms of a pod: of its endpoints and of its calls."""

    served: tuple[_Histogram, ...]
    called: tuple[_Histogram, ...]


Families = dict[str, list[str]]


class Exporter:
    """Pages of pods, nodes, the broker, and of the evidence that is given. Safe to call from many threads."""

    def __init__(self, fleet: Fleet, given: frozenset[Evidence] | None = None) -> None:
        self._fleet = fleet
        self._given = evidence.parse(evidence.DEFAULT) if given is None else given
        self._big = fleet.plan.catalog.big
        self._layouts: dict[tuple[int, str, Labels], _Layout] = {}

    def pod(self, namespace: str, name: str) -> str:
        """The page of one pod. Raises NoSuchPod, also while its node does not answer."""
        with self._fleet.lock:
            place = self._fleet.place_of(namespace, name)
            if place is None or self._fleet.pods.views[place].node in self._fleet.faults.lost_nodes:
                raise NoSuchPod(name)
            return _page(self._series(place, ()))

    def node(self, node: str) -> str:
        """The page of all pods of a node, their names as labels. Raises NoSuchPod."""
        families: Families = {}
        with self._fleet.lock:
            if node in self._fleet.faults.lost_nodes:
                raise NoSuchPod(node)
            for place, view in enumerate(self._fleet.pods.views):
                if view.node == node:
                    where = (("namespace", self._namespace(place)), ("pod", view.name), ("node", node))
                    for family, lines in self._series(place, where).items():
                        families.setdefault(family, []).extend(lines)
        if not families:
            raise NoSuchPod(node)
        return _page(families)

    def broker(self) -> str:
        """The page of the message broker: offsets and consumer lag, as the usual Kafka exporter names them."""
        fleet, plan = self._fleet, self._fleet.plan
        with fleet.lock:
            produced, consumed, lag = fleet.produced, fleet.consumed, fleet.state.lag
        families: Families = {}
        for topic, offset in zip(plan.catalog.topics, produced.tolist(), strict=True):
            _partitions(families, "kafka_topic_partition_current_offset", topic, (), offset)
        for i, endpoint in enumerate(plan.consumers.tolist()):
            group = (("consumergroup", plan.catalog.endpoints[endpoint].service),)
            topic = plan.targets[plan.consumed[i]]
            assert isinstance(topic, Topic)
            _partitions(families, "kafka_consumergroup_current_offset", topic, group, float(consumed[i]))
            _partitions(families, "kafka_consumergroup_lag", topic, group, float(lag[i]))
        return _page(families)

    def evidence(self, kind: str) -> str:
        """The page of the mesh's proxies or of the service graph. Raises NoSuchPod for what is not given."""
        with self._fleet.lock:
            flows, messages = self._fleet.totals.flows(), self._fleet.totals.messages()
        if kind == Evidence.ISTIO and kind in self._given:
            return proxies.page(flows, self._fleet.bounds)
        if kind == Evidence.SERVICE_GRAPH and kind in self._given:
            return generator.page(flows, messages, self._fleet.bounds)
        raise NoSuchPod(kind)

    def truth(self) -> dict[str, Any]:
        """Calls and failures by edge since the start, and the moments of wall and model time they hold for."""
        with self._fleet.lock:
            return {
                "at": clock.now().timestamp(),
                "model_seconds": self._fleet.moment,
                "edges": self._fleet.totals.truth(),
            }

    def targets(self, host: str) -> list[dict[str, Any]]:
        """Answer of http_sd: everything that can be scraped at `host` (host:port of this very server)."""
        with self._fleet.lock:
            places = list(enumerate(self._fleet.pods.views))
            found = [] if self._big else [self._pod_target(place, host) for place, _ in places]
            nodes = sorted({view.node for _, view in places}) if self._big else []
        found += [
            _target(host, f"/nodes/{n}/metrics", {"node": n, "instance": f"{n}:{METRICS_PORT}"})
            for n in nodes
        ]
        found.append(_target(host, "/broker/metrics", {"instance": "kafka:9308", "job": "kafka"}))
        for kind in sorted(self._given & {Evidence.ISTIO, Evidence.SERVICE_GRAPH}):
            found.append(_target(host, f"/{kind}/metrics", {"instance": f"{kind}:9090", "job": kind.value}))
        return found

    def _pod_target(self, place: int, host: str) -> dict[str, Any]:
        view, namespace = self._fleet.pods.views[place], self._namespace(place)
        labels = {"namespace": namespace, "pod": view.name, "node": view.node}
        labels["instance"] = f"{view.ip}:{METRICS_PORT}"
        return _target(host, f"/pods/{namespace}/{view.name}/metrics", labels)

    def _namespace(self, place: int) -> str:
        return self._fleet.plan.catalog.services[int(self._fleet.pods.service[place])].namespace

    def _series(self, place: int, where: Labels) -> Families:
        pods, ledger = self._fleet.pods, self._fleet.ledger
        layout = self._layout(place, where)
        families: Families = {}
        ends, calls = pods.endpoints.of(place), pods.calls.of(place)
        _lines(families, layout.served, ledger.served[ends], ledger.served_seconds[ends])
        if Evidence.CLIENT_METRICS in self._given:
            _lines(families, layout.called, ledger.called[calls], ledger.called_seconds[calls])
        else:
            families.pop(PROCESS, None)
        self._process(place, where, families)
        return families

    def _layout(self, place: int, where: Labels) -> _Layout:
        """Pods of one service and version have the same series, but for the labels of `where`."""
        pods, plan = self._fleet.pods, self._fleet.plan
        service, version = int(pods.service[place]), pods.views[place].version
        found = self._layouts.get((service, version, where))
        if found is not None:
            return found
        if len(self._layouts) > _MOST_LAYOUTS:
            self._layouts.clear()
        ends = [
            served(plan, plan.catalog.endpoints[e], version)
            for e in pods.endpoints.thing[pods.endpoints.of(place)]
        ]
        calls = [called(plan, int(c), version) for c in pods.calls.thing[pods.calls.of(place)]]
        bounds = [*(f"{bound:g}" for bound in self._fleet.bounds), "+Inf"]
        layout = _Layout(_laid_out(ends, where, bounds), _laid_out(calls, where, [] if self._big else bounds))
        self._layouts[(service, version, where)] = layout
        return layout

    def _process(self, place: int, where: Labels, families: Families) -> None:
        fleet, view = self._fleet, self._fleet.pods.views[place]
        service = fleet.plan.catalog.services[fleet.pods.service[place]]
        busy = float(fleet.pod_state.utilisation[place])
        cpu = round(float(fleet.ledger.cpu_seconds[place]), 3)
        memory = int(service.memory_mib * 2**20 * (0.45 + 0.2 * busy))
        labels = written((("service", service.name), ("version", view.version), *where))
        values = {
            "process_cpu_seconds_total": cpu,
            "process_resident_memory_bytes": memory,
            "process_start_time_seconds": round(view.started, 3),
            "container_cpu_usage_seconds_total": cpu,
            "container_memory_working_set_bytes": memory + 12 * 2**20,
        }
        for family, value in values.items():
            families.setdefault(family, []).append(f"{family}{{{labels}}} {value}\n")


def _laid_out(rows: list[list[Metric]], where: Labels, bounds: list[str]) -> tuple[_Histogram, ...]:
    """Series of rows with their metrics per outcome; rows of the same labels and outcome are one series."""
    found: dict[tuple[Metric, int], list[int]] = {}
    for row, metrics in enumerate(rows):
        for outcome, metric in enumerate(metrics):
            found.setdefault((metric, outcome), []).append(row)
    return tuple(
        _named(metric, where, bounds, tuple(rows), outcome) for (metric, outcome), rows in found.items()
    )


def _named(
    metric: Metric, where: Labels, bounds: list[str], rows: tuple[int, ...], outcome: int
) -> _Histogram:
    family, labels = metric.family, written(metric.labels + where)
    return _Histogram(
        family,
        rows,
        outcome,
        tuple(f'{family}_bucket{{{labels},le="{bound}"}} ' for bound in bounds),
        f"{family}_sum{{{labels}}} ",
        f"{family}_count{{{labels}}} ",
    )


def _lines(families: Families, layout: tuple[_Histogram, ...], counts: Floats, seconds: Floats) -> None:
    """Write the histograms of one pod; outcomes that never happened have no series yet."""
    running = np.cumsum(counts, axis=2).astype(np.int64)
    values, sums = running.tolist(), seconds.tolist()
    for series in layout:
        buckets = values[series.rows[0]][series.outcome]
        total = sums[series.rows[0]][series.outcome]
        for row in series.rows[1:]:
            buckets = [a + b for a, b in zip(buckets, values[row][series.outcome], strict=True)]
            total += sums[row][series.outcome]
        if series.outcome and not buckets[-1]:
            continue
        lines = families.setdefault(series.family, [])
        lines += [f"{name}{value}\n" for name, value in zip(series.buckets, buckets, strict=False)]
        lines.append(f"{series.total}{total:.6g}\n")
        lines.append(f"{series.count}{buckets[-1]}\n")


def _target(host: str, path: str, labels: dict[str, str]) -> dict[str, Any]:
    return {"targets": [host], "labels": {"__metrics_path__": path, **labels}}


def _partitions(families: Families, family: str, topic: Topic, group: Labels, value: float) -> None:
    for number in range(topic.partitions):
        labels = written((*group, ("topic", topic.name), ("partition", str(number))))
        line = f"{family}{{{labels}}} {int(value / topic.partitions)}\n"
        families.setdefault(family, []).append(line)


def _page(families: Families) -> str:
    return "".join(_with_headers(families.items()))


def _with_headers(families: Iterable[tuple[str, list[str]]]) -> Iterator[str]:
    for family, lines in families:
        if family in _HELP:
            yield f"# HELP {family} {_HELP[family]}\n"
        yield f"# TYPE {family} {_type_of(family, lines)}\n"
        yield from lines


def _type_of(family: str, lines: list[str]) -> str:
    """Histograms that carry no buckets (edges of a big fleet) are summaries to the format."""
    if family not in _HISTOGRAMS:
        return "counter" if family in _COUNTERS else "gauge"
    return "histogram" if "_bucket{" in lines[0] else "summary"
