"""A cluster's Prometheus: finds which metric families there are, and asks for all services at once.

What is there is looked up every few minutes; a look itself is a handful of queries, however many services
there are. One family that cannot be answered becomes a notice; only when none can, the look has failed.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ClassVar

import numpy as np

from app.clock import monotonic
from app.config import Prometheus
from app.errors import SourceError, SourceNonsense, SourceRefused, SourceStarting, SourceUnavailable
from app.model.fleet import EvidenceKind, Snapshot, Witness, no_edge_traffic
from app.model.series import Floats, Window
from collectors import families, linkerd, mesh, promql, service_graph
from collectors.families import Found, Role
from collectors.prometheus_api import MAX_POINTS, PrometheusApi
from collectors.prometheus_wire import NATIVE_IGNORED, Table, names, sample_times, table
from collectors.readings import read_client, read_server, read_span
from collectors.tally import Reader, Tally, tally
from collectors.witness import Moment, edge_witness, node_witness

log = logging.getLogger("quarterdeck.collect")

REDISCOVER = timedelta(minutes=5)
REDISCOVER_EMPTY = timedelta(seconds=30)
LOOK_BACK = timedelta(minutes=5)
_SAMPLED_JOBS = 3
_WHOLE = 0.9  # of the window scraped: the rest is what jitter of scrapes explains
_LEAST = timedelta(seconds=1)
_ENOUGH = 0.5  # of a past step scraped, or its rates are unknown
_PIECE_POINTS = 60
_READERS: Mapping[EvidenceKind, Reader] = {
    EvidenceKind.MESH: mesh.read_mesh,
    EvidenceKind.LINKERD: linkerd.read_linkerd,
    EvidenceKind.SERVICE_GRAPH: service_graph.read_graph,
    EvidenceKind.SERVER_METRICS: read_server,
    EvidenceKind.CLIENT_METRICS: read_client,
    EvidenceKind.SPAN_METRICS: read_span,
}
_WITNESSES: Mapping[EvidenceKind, Callable[[Tally, Moment, int], Witness]] = {
    EvidenceKind.MESH: mesh.mesh_witness,
    EvidenceKind.LINKERD: linkerd.linkerd_witness,
    EvidenceKind.SERVICE_GRAPH: service_graph.graph_witness,
    EvidenceKind.SERVER_METRICS: partial(node_witness, EvidenceKind.SERVER_METRICS),
    EvidenceKind.CLIENT_METRICS: partial(edge_witness, EvidenceKind.CLIENT_METRICS),
    EvidenceKind.SPAN_METRICS: partial(node_witness, EvidenceKind.SPAN_METRICS),
}
_NODE_EVIDENCE = (
    EvidenceKind.MESH,
    EvidenceKind.LINKERD,
    EvidenceKind.SERVER_METRICS,
    EvidenceKind.SPAN_METRICS,
)

Groups = dict[EvidenceKind, list[Found]]


@dataclass(frozen=True, slots=True)
class _Catalogue:
    """What this Prometheus has, by evidence, and when it was looked up."""

    groups: Groups
    at: datetime
    notices: tuple[str, ...] = ()

    def fresh(self, moment: datetime) -> bool:
        """Whether it still holds at `moment`; an empty one is looked up again sooner."""
        age = moment - self.at
        return timedelta(0) <= age < (REDISCOVER if self.groups else REDISCOVER_EMPTY)


@dataclass(frozen=True, slots=True)
class Past:
    """Inbound traffic of services over one step that ended at `window.end`; witnesses carry no edges."""

    window: Window
    witnesses: tuple[Witness, ...]


class PrometheusCollector:
    """Reads one Prometheus. `labels` pins roles to label names where looking would choose another.

    `mesh` names the mesh whose metrics are read: auto (whichever is there), istio, linkerd or none.
    """

    kind: ClassVar[str] = "prometheus"
    cost: ClassVar[str] = (
        "Rates, errors and latencies of services and their calls stay as they were last seen."
    )

    def __init__(
        self,
        cluster: str,
        settings: Prometheus,
        *,
        name: str = "prometheus",
        labels: Mapping[Role, str] | None = None,
        mesh: str = "auto",
    ) -> None:
        self.cluster = cluster
        self.name = name
        self.settings = settings
        self.api = PrometheusApi(settings)
        self._labels, self._mesh = labels, mesh
        self._catalogue: _Catalogue | None = None
        self._scraped_whole: datetime | None = None  # the end of the last window that was scraped throughout
        self._guard = threading.Lock()

    def start(self) -> None:
        """Nothing runs between looks."""

    def close(self) -> None:
        """Free the connections."""
        self.api.close()

    def pull(self, window: Window) -> Snapshot:
        """Rates over the configured window that ends at `window.end`, as counts, with a witness per evidence."""
        catalogue = self._known(window.end)
        deadline = monotonic() + 2 * self.settings.query_timeout.total_seconds()
        notices = list(catalogue.notices)
        errors: list[SourceError] = []
        witnesses: list[Witness] = []
        share = self._scraped(catalogue.groups, window.end)
        for evidence, found in catalogue.groups.items():
            length = promql.rate_window(found, self.settings.rate_window)
            tables = self._tables(found, length, window.end, deadline, notices, errors)
            if tables:
                result = tally(tables, found, _READERS[evidence], length.total_seconds())
                notices += _doubts(evidence, result, tables)
                witnesses.append(_WITNESSES[evidence](result, Moment(window.end, length * share), 0))
        if errors and not witnesses:
            self._catalogue = self._scraped_whole = None
            raise errors[0]
        return Snapshot(
            self.cluster, self.name, window.end, tuple(witnesses), notices=tuple(dict.fromkeys(notices))
        )

    def _scraped(self, groups: Groups, at: datetime) -> float:
        """The share of the rate window that was scraped at all, up to 1: less just after Prometheus began.

        What was counted then stands for that share; spread over the whole window it would read as a drop.
        """
        length = promql.rate_window(
            [one for group in groups.values() for one in group], self.settings.rate_window
        )
        if self._scraped_whole is None or not timedelta(0) <= at - self._scraped_whole < length:
            since = self._scraped_since(length, at)
            if since is not None and at - since < _WHOLE * length:
                return max(at - since, _LEAST) / length
        self._scraped_whole = at
        return 1.0

    def _scraped_since(self, length: timedelta, at: datetime) -> datetime | None:
        """When the longest scraped target was first scraped in the window; None = it cannot be told."""
        within = f"[{int(length.total_seconds())}s]"
        try:
            longest = table(
                self.api.query(f"topk(1, count_over_time(up{within}))", at=at), ("job", "instance")
            )
            if not len(longest):
                return None
            job, instance = (_quoted(longest.labels[label][0]) for label in ("job", "instance"))
            times = sample_times(self.api.query(f"up{{job={job},instance={instance}}}{within}", at=at))[0]
            gap = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        except (SourceUnavailable, SourceNonsense, IndexError) as error:
            log.debug("%s: how much was scraped is not known: %s", self.api.who, error)
            return None
        return datetime.fromtimestamp(times[0] - gap / 2, UTC)  # rate() reaches half a gap before the first

    def history(self, window: Window, step: timedelta = timedelta(minutes=1)) -> Iterator[Past]:
        """Inbound traffic of services, step by step over `window` (whole steps), oldest first.

        Each step holds the counts of its own length. Raises as `pull`, possibly after some steps were given.
        """
        groups = {k: v for k, v in self._known(window.end).groups.items() if k in _NODE_EVIDENCE}
        points = min(_PIECE_POINTS, MAX_POINTS)
        start = window.start
        while start < window.end and groups:
            end = min(start + points * step, window.end)
            yield from self._piece(groups, Window(start, end), step)
            start = end

    def _piece(self, groups: Groups, window: Window, step: timedelta) -> Iterator[Past]:
        """One range query per question; the values at a step's end speak of that step."""
        count = int(window.length // step)
        ends = [window.start + (i + 1) * step for i in range(count)]
        if not ends:
            return
        grid = np.array([end.timestamp() for end in ends])
        tallies: dict[EvidenceKind, Tally] = {}
        for evidence, found in groups.items():
            length = promql.rate_window(found, step)
            tables = [
                table(self.api.query_range(q.text, start=ends[0], end=ends[-1], step=step), q.labels, grid)
                for q in promql.questions(found, length)
            ]
            tallies[evidence] = tally(tables, found, _READERS[evidence], step.total_seconds())
        shares = self._shares(grid, ends, step)
        for i, end in enumerate(ends):
            moment = Moment(end, step * float(shares[i]))
            said = [
                _nodes_only(_WITNESSES[evidence](one, moment, i))
                for evidence, one in tallies.items()
                if len(one) and shares[i] >= _ENOUGH
            ]
            yield Past(Window(end - step, end), tuple(witness for witness in said if len(witness.nodes)))

    def _shares(self, grid: Floats, ends: list[datetime], step: timedelta) -> Floats:
        """How much of each step was scraped, against the best of them; 1 where nobody kept count of it."""
        text = f"max(count_over_time(up[{int(step.total_seconds())}s]))"
        try:
            counts = table(
                self.api.query_range(text, start=ends[0], end=ends[-1], step=step), (), grid
            ).values
        except (SourceUnavailable, SourceNonsense) as error:
            log.debug("%s: how much was scraped is not known: %s", self.api.who, error)
            return np.ones(len(ends))
        if not len(counts) or not np.isfinite(counts[0]).any():
            return np.ones(len(ends))
        share = counts[0] / np.nanmax(counts[0])
        return np.where(np.isfinite(share) & (share < _WHOLE), share, 1.0)

    def _tables(
        self,
        found: list[Found],
        length: timedelta,
        at: datetime,
        deadline: float,
        notices: list[str],
        errors: list[SourceError],
    ) -> list[Table]:
        """The answers about one kind of evidence; one that fails is left out, said and kept in `errors`."""
        tables = []
        for question in promql.questions(found, length):
            left = deadline - monotonic()
            try:
                if left <= 0:
                    raise SourceUnavailable(
                        f"{self.api.who}: no time was left to ask for {question.evidence}"
                    )
                answered = self.api.query(question.text, at=at, timeout=left)
                notices += [f"{question.evidence}: {warning}" for warning in answered.warnings]
                tables.append(table(answered, question.labels))
            except (SourceRefused, SourceStarting):
                raise
            except SourceError as error:
                errors.append(error)
                notices.append(f"{question.evidence} could not be read: {error}")
        return tables

    def _known(self, at: datetime) -> _Catalogue:
        """The catalogue, looked up again when it is old."""
        with self._guard:
            current = self._catalogue
        if current is not None and current.fresh(at):
            return current
        found = self._discover(at)
        with self._guard:
            self._catalogue = found
        return found

    def _discover(self, at: datetime) -> _Catalogue:
        """Which families there are, with their labels and scrape intervals: a bounded number of requests."""
        since = at - LOOK_BACK
        selector = f'{{__name__=~"{families.name_matcher()}"}}'
        there = set(names(self.api.label_values("__name__", match=[selector], since=since, until=at)))
        groups: Groups = defaultdict(list)
        notices: list[str] = []
        for family in families.recognise(there, self._mesh):
            labels = set(names(self.api.label_names(match=[family.main], since=since, until=at)))
            found = families.settle(family, there, labels, self._labels)
            if found is None and set(family.needed) <= labels:
                notices.append(f"{family.main} is there, but no label of it names a service")
            elif found is not None:
                groups[family.evidence].append(found)
        everything = [one for group in groups.values() for one in group]
        intervals = self._intervals(everything, at)
        timed = {
            k: [replace(one, interval=intervals.get(one.family.main)) for one in v] for k, v in groups.items()
        }
        if not timed:
            notices.append(
                "no metrics of requests are here yet: see the documentation for families that are recognised"
            )
        log.debug("%s: %s", self.api.who, [one.family.main for one in everything])
        return _Catalogue(timed, at, tuple(notices))

    def _intervals(self, found: list[Found], at: datetime) -> dict[str, timedelta]:
        """Seconds between samples, by metric, from the raw samples of one series for a few jobs each."""
        if not found:
            return {}
        metrics = "|".join(one.family.main for one in found)
        # a scraped series has an instance; without one it was computed or imported, at a pace of its own
        per_job = f'topk by (__name__, job) (1, {{__name__=~"{metrics}",instance!=""}})'
        labels = ("__name__", "job", "instance", "pod", "namespace", "service")
        try:
            series = table(self.api.query(per_job, at=at), labels).labels
            chosen = _some_of_each(list(zip(*(series[label] for label in labels), strict=True)), labels)
            return {metric: self._interval(selectors, at) for metric, selectors in chosen.items()}
        except (SourceUnavailable, SourceNonsense) as error:
            log.info("%s: scrape intervals are not known: %s", self.api.who, error)
            return {}

    def _interval(self, selectors: list[str], at: datetime) -> timedelta:
        """The longest usual gap between samples among a few series."""
        gaps = [
            float(np.median(np.diff(times)))
            for selector in selectors
            for times in sample_times(
                self.api.query(f"{selector}[{int(LOOK_BACK.total_seconds())}s]", at=at)
            )[:1]
            if len(times) > 1
        ]
        return timedelta(seconds=max(gaps, default=0.0))


def _some_of_each(series: list[tuple[str, ...]], labels: tuple[str, ...]) -> dict[str, list[str]]:
    """A few exact selectors per metric, of different jobs."""
    chosen: dict[str, dict[str, str]] = defaultdict(dict)
    for values in sorted(series):
        jobs = chosen[values[0]]
        if len(jobs) < _SAMPLED_JOBS:
            matchers = [f"{k}={_quoted(v)}" for k, v in zip(labels[1:], values[1:], strict=True) if v]
            jobs.setdefault(values[1], f"{values[0]}{{{','.join(matchers)}}}")
    return {metric: list(jobs.values()) for metric, jobs in chosen.items()}


def _quoted(value: str) -> str:
    """A PromQL string literal of any text."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _nodes_only(witness: Witness) -> Witness:
    """Without edges, and without rows of which a step of the past has no sample."""
    nodes = witness.nodes
    told = np.flatnonzero(~np.isnan(nodes.requests))
    columns = {
        name: column[told]
        for name in ("party", "requests", "failed", "raw", "latency", "floor")
        if (column := getattr(nodes, name)) is not None
    }
    kept = replace(nodes, **columns, versions=tuple(nodes.versions[row] for row in told))
    return replace(witness, nodes=kept, edges=no_edge_traffic())


def _doubts(evidence: EvidenceKind, result: Tally, tables: list[Table]) -> list[str]:
    """What a reader must know of the numbers: values left out, buckets too wide, histograms not read."""
    said = []
    if result.dropped:
        said.append(f"{evidence}: {result.dropped} values were NaN or infinite and are left out")
    if result.coarse > 0.5:
        said.append(
            f"{evidence}: {result.coarse:.0%} of latencies fall into the lowest bucket of their histogram: "
            "quantiles there are no better than its bound"
        )
    lost, found = float(result.expired[-1]), float(result.paired[-1])
    if lost > 0:
        share = f", {lost / (lost + found):.0%} of all" if found > 0 else ""
        said.append(
            f"trace confidence: {lost:.0f} halves of calls found no other half in the last window{share}; "
            "calls of the service graph are too few by that much"
        )
    if any(one.natives for one in tables):
        said.append(f"{evidence}: {NATIVE_IGNORED}")
    return said
