"""The fleet's exporters: what the processes have counted, in Prometheus' text format, and where to scrape it.

In the small fleet every pod has its own page; above 100 services a node's page carries its pods' series.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.model.series import Floats
from demo.catalog import Topic
from demo.labels import CLIENT, CONSUMED, DATABASE, PROCESS, SENT, SERVER, Labels, Metric, called, served, written
from demo.model import Fleet

METRICS_PORT = 9464
_HISTOGRAMS = (SERVER, CLIENT, DATABASE, PROCESS)
_TYPES = {SENT: "counter", CONSUMED: "counter", "process_cpu_seconds_total": "counter"}
_TYPES |= {"container_cpu_usage_seconds_total": "counter"}
_HELP = {
    SERVER: "Duration of HTTP server requests.",
    CLIENT: "Duration of HTTP client requests.",
    DATABASE: "Duration of database client operations.",
    PROCESS: "Duration of processing a message.",
}


class NoSuchPod(KeyError):
    """No pod or node of that name, or it does not answer."""


@dataclass(frozen=True, slots=True)
class _Names:
    """Everything of a histogram's lines before the number."""

    buckets: tuple[str, ...]
    total: str
    count: str


Families = dict[str, list[str]]


class Exporter:
    """Pages of pods, nodes and the broker. Safe to call from many threads."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._big = fleet.plan.catalog.big
        self._bounds = [*(f"{bound:g}" for bound in fleet.bounds), "+Inf"]
        self._names: dict[tuple[Metric, Labels], _Names] = {}

    def pod(self, namespace: str, name: str) -> str:
        """The page of one pod. Raises NoSuchPod, also while its node does not answer."""
        with self._fleet.lock:
            for place, view in enumerate(self._fleet.pods.views):
                if view.name == name and self._namespace(place) == namespace:
                    if view.node in self._fleet.faults.lost_nodes:
                        break
                    return _page(self._series(place, ()))
        raise NoSuchPod(name)

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
            produced, consumed = fleet.offsets["produced"].copy(), fleet.offsets["consumed"].copy()
            lag = fleet.state.lag.copy()
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

    def targets(self, host: str) -> list[dict[str, Any]]:
        """Answer of http_sd: everything that can be scraped at `host` (host:port of this very server)."""
        with self._fleet.lock:
            places = list(enumerate(self._fleet.pods.views))
            found = [] if self._big else [self._pod_target(place, host) for place, _ in places]
            nodes = sorted({view.node for _, view in places}) if self._big else []
        found += [_target(host, f"/nodes/{n}/metrics", {"node": n, "instance": f"{n}:{METRICS_PORT}"}) for n in nodes]
        found.append(_target(host, "/broker/metrics", {"instance": "kafka:9308", "job": "kafka"}))
        return found

    def _pod_target(self, place: int, host: str) -> dict[str, Any]:
        view, namespace = self._fleet.pods.views[place], self._namespace(place)
        labels = {"namespace": namespace, "pod": view.name, "node": view.node}
        labels["instance"] = f"{view.ip}:{METRICS_PORT}"
        return _target(host, f"/pods/{namespace}/{view.name}/metrics", labels)

    def _namespace(self, place: int) -> str:
        return self._fleet.plan.catalog.services[self._fleet.pods.service[place]].namespace

    def _series(self, place: int, where: Labels) -> Families:
        families: Families = {}
        self._served(place, where, families)
        self._called(place, where, families)
        self._process(place, where, families)
        return families

    def _served(self, place: int, where: Labels, families: Families) -> None:
        pods, ledger, plan = self._fleet.pods, self._fleet.ledger, self._fleet.plan
        version = pods.views[place].version
        for row in pods.endpoints.of(place):
            endpoint = plan.catalog.endpoints[pods.endpoints.thing[row]]
            for outcome, metric in enumerate(served(endpoint, version)):
                counts = ledger.served[row, outcome]
                if outcome == 0 or counts.any():
                    self._histogram(families, metric, where, counts, float(ledger.served_seconds[row, outcome]))
            if endpoint.topic:
                labels = written(served(endpoint, version)[0].labels + where)
                count = int(ledger.served[row].sum())
                families.setdefault(CONSUMED, []).append(f"{CONSUMED}{{{labels}}} {count}\n")

    def _called(self, place: int, where: Labels, families: Families) -> None:
        """Calls of several endpoints with the same labels are one series."""
        pods, ledger, plan = self._fleet.pods, self._fleet.ledger, self._fleet.plan
        version = pods.views[place].version
        sums: dict[Metric, tuple[Floats, float]] = {}
        for row in pods.calls.of(place):
            for outcome, metric in enumerate(called(plan, int(pods.calls.thing[row]), version)):
                counts = ledger.called[row, outcome]
                if outcome == 0 or counts.any():
                    before, seconds = sums.get(metric, (0.0, 0.0))
                    sums[metric] = (before + counts, seconds + float(ledger.called_seconds[row, outcome]))
        for metric, (counts, seconds) in sums.items():
            if metric.family == SENT:
                line = f"{SENT}{{{written(metric.labels + where)}}} {int(counts.sum())}\n"
                families.setdefault(SENT, []).append(line)
            else:
                self._histogram(families, metric, where, counts, seconds)

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

    def _histogram(
        self, families: Families, metric: Metric, where: Labels, counts: Floats, seconds: float
    ) -> None:
        names = self._names.get((metric, where)) or self._named(metric, where)
        lines = families.setdefault(metric.family, [])
        running = np.cumsum(counts).astype(np.int64).tolist()
        if len(running) > 1:
            lines += [f"{name}{value}\n" for name, value in zip(names.buckets, running, strict=True)]
        lines.append(f"{names.total}{seconds:.6g}\n")
        lines.append(f"{names.count}{running[-1]}\n")

    def _named(self, metric: Metric, where: Labels) -> _Names:
        if len(self._names) > 200_000:  # pods come and go for days; a rebuilt cache costs a second
            self._names.clear()
        labels = written(metric.labels + where)
        names = _Names(
            tuple(f'{metric.family}_bucket{{{labels},le="{bound}"}} ' for bound in self._bounds),
            f"{metric.family}_sum{{{labels}}} ",
            f"{metric.family}_count{{{labels}}} ",
        )
        self._names[(metric, where)] = names
        return names


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
        return _TYPES.get(family, "gauge")
    return "histogram" if "_bucket{" in lines[0] else "summary"
