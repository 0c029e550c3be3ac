"""A quiet past for Prometheus: six hours of service-level series, and the `prometheus.yml` of the demo.

Series carry no pods: one per service (or edge) and outcome, counted once a minute from the rates that the
settled model has, as OpenMetrics that promtool makes into blocks. Edges have counts and sums only. Above 100
services a step is five minutes and edges are left out, which keeps 1,000 services within some ten seconds.
"""

from __future__ import annotations

import itertools
import json
import logging
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from app.model.series import Floats
from demo import demand, generate
from demo.catalog import Catalog
from demo.labels import PROCESS, SERVER, Labels, Metric, called, served, written
from demo.ledger import middles
from demo.model import Fleet
from demo.still import StillPods

_LOG = logging.getLogger("quarterdeck.demo.history")
LENGTH = timedelta(hours=6, minutes=10)
MARKER = "demo-history.json"
JOB = "fleet"
_BLOCK = 7200
_LEAST_EVENTS = 1.0  # series that would not have counted once are left out; in a big fleet 30 times


class HistoryFailed(RuntimeError):
    """promtool is missing or refused; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class History:
    """What was written: first and last moment, step, and the number of series."""

    start: datetime
    until: datetime
    step: timedelta
    series: int


@dataclass(frozen=True, slots=True)
class _Column:
    """One metric's expected events per second in each bucket."""

    metric: Metric
    rates: Floats
    buckets: bool
    typical: Floats  # seconds, per bucket

    @property
    def series(self) -> int:
        """Lines per moment."""
        return 2 + (len(self.rates) if self.buckets else 0)


def prepare(data: Path, *, seed: int, services: int | None, now: datetime, calls: bool = True) -> History:
    """Write history up to `now` into Prometheus' data directory, once; later starts keep it. `calls`: edges too.

    The marker `demo-history.json` beside `data` says until when it reaches. Raises HistoryFailed.
    """
    marker = data.with_name(MARKER)
    if marker.exists() and data.exists():
        return _read(marker)
    catalog = generate.catalog(services or 0, seed)
    data.mkdir(parents=True, exist_ok=True)
    step = timedelta(minutes=5 if catalog.big else 1)
    until = datetime.fromtimestamp(now.timestamp() // 60 * 60, UTC)
    moments = np.arange((until - LENGTH).timestamp(), until.timestamp() + 1, step.total_seconds())
    columns, bounds = _columns(catalog, seed, float(moments[-1]), calls=calls)
    counted = [_counted(column, seed, place, moments) for place, column in enumerate(columns)]
    for part in _blocks(moments):
        stamps = [f" {moment:.0f}\n" for moment in moments[part].tolist()]
        with tempfile.TemporaryDirectory(dir=data.parent) as scratch:
            file = Path(scratch) / "history.om"
            with file.open("w") as out:
                out.writelines(_families(columns, [rows[part] for rows in counted], bounds, stamps))
            _make_blocks(file, data)
    made = History(until - LENGTH, until, step, sum(column.series for column in columns))
    marker.write_text(json.dumps(_plain(made)) + "\n")
    return made


def prometheus_config(sd_url: str, *, services: int | None = None) -> str:
    """Text of a prometheus.yml that finds and scrapes the fleet: every 5 s, a big fleet every 30 s."""
    big = (services or 0) > 100
    return f"""\
global:
  scrape_interval: {"30s" if big else "5s"}
  scrape_timeout: {"15s" if big else "4s"}
  evaluation_interval: 15s
scrape_configs:
  - job_name: {JOB}
    honor_labels: true
    http_sd_configs:
      - url: {json.dumps(sd_url)}
        refresh_interval: 5s
"""


def _columns(catalog: Catalog, seed: int, moment: float, *, calls: bool) -> tuple[list[_Column], list[str]]:
    """Expected rates of the settled fleet at demand level 1, added up per metric; and the bounds' names."""
    fleet = Fleet(catalog, StillPods(catalog), seed=seed, start=moment)
    plan, pods = fleet.plan, fleet.pods
    level = float(demand.level(seed, np.array([moment]))[0])
    spaces = [plan.catalog.services[service].namespace for service in pods.service.tolist()]
    versions = [view.version for view in pods.views]
    found: dict[Metric, Floats] = {}
    for row, rates in enumerate(fleet.served_rates() / level):
        pod, endpoint = pods.endpoints.pod[row], plan.catalog.endpoints[pods.endpoints.thing[row]]
        _add(found, served(plan, endpoint, versions[pod]), rates, spaces[pod])
    if not calls:
        found = {metric: rates for metric, rates in found.items() if metric.family == SERVER}
    elif not catalog.big:
        for row, rates in enumerate(fleet.called_rates()[0] / level):
            pod, call = pods.calls.pod[row], int(pods.calls.thing[row])
            _add(found, called(plan, call, versions[pod]), rates, spaces[pod])
    enough = _LEAST_EVENTS * (30 if catalog.big else 1) / LENGTH.total_seconds()
    typical = middles(fleet.bounds)
    ordered = sorted(found.items(), key=lambda item: (item[0].family, item[0].labels))
    columns = [_Column(m, r, m.family in (SERVER, PROCESS), typical) for m, r in ordered if r.sum() > enough]
    return columns, [*(f"{bound:g}" for bound in fleet.bounds), "+Inf"]


def _families(
    columns: list[_Column], counted: list[Floats], bounds: list[str], stamps: list[str]
) -> Iterator[str]:
    """OpenMetrics text: the series of a family together, the end marked."""
    family = ""
    for column, rows in zip(columns, counted, strict=True):
        if column.metric.family != family:
            family = column.metric.family
            yield f"# TYPE {family} {'histogram' if column.buckets else 'summary'}\n"
        yield _text(column, rows, bounds, stamps)
    yield "# EOF\n"


def _add(found: dict[Metric, Floats], metrics: list[Metric], rates: Floats, namespace: str) -> None:
    where: Labels = (("namespace", namespace), ("job", JOB))
    for metric, row in zip(metrics, rates, strict=True):
        key = Metric(metric.family, metric.labels + where)
        found[key] = found.get(key, 0.0) + row


def _counted(column: _Column, seed: int, place: int, moments: Floats) -> Floats:
    """Cumulative events at each moment and bucket: shape (moments, buckets), seeded draws."""
    steps = np.diff(moments, prepend=moments[0])
    expected = column.rates[None, :] * (steps * demand.level(seed, moments))[:, None]
    return np.cumsum(np.random.default_rng([seed, place]).poisson(expected), axis=0).astype(np.float64)


def _blocks(moments: Floats) -> Iterator[slice]:
    """Moments of each of Prometheus' two-hour blocks: promtool reads its input once for every block."""
    starts = moments // _BLOCK
    cuts = [0, *(np.flatnonzero(np.diff(starts)) + 1).tolist(), len(moments)]
    for start, end in itertools.pairwise(cuts):
        yield slice(start, end)


def _text(column: _Column, counted: Floats, bounds: list[str], stamps: list[str]) -> str:
    """All lines of one histogram for the moments of a block."""
    family, labels = column.metric.family, written(column.metric.labels)
    running = np.cumsum(counted, axis=1)
    lines = []
    if column.buckets:
        for i, bound in enumerate(bounds):
            lines.append(_lines(f'{family}_bucket{{{labels},le="{bound}"}}', running[:, i], stamps))
    lines.append(_lines(f"{family}_count{{{labels}}}", running[:, -1], stamps))
    lines.append(_lines(f"{family}_sum{{{labels}}}", counted @ column.typical, stamps))
    return "".join(lines)


def _lines(name: str, values: Floats, stamps: list[str]) -> str:
    return "".join(
        [f"{name} {value:.10g}{stamp}" for value, stamp in zip(values.tolist(), stamps, strict=True)]
    )


def _make_blocks(text: Path, data: Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        raise HistoryFailed("promtool is not installed: sudo apt-get install prometheus")
    command = [program, "tsdb", "create-blocks-from", "--quiet", "openmetrics", str(text), str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HistoryFailed(f"promtool made no blocks: {done.stderr.strip()[-400:]}")


def _plain(history: History) -> dict[str, object]:
    return {
        "start": history.start.isoformat(),
        "until": history.until.isoformat(),
        "step_seconds": history.step.total_seconds(),
        "series": history.series,
    }


def _read(marker: Path) -> History:
    said = json.loads(marker.read_text())
    start, until = datetime.fromisoformat(said["start"]), datetime.fromisoformat(said["until"])
    return History(start, until, timedelta(seconds=said["step_seconds"]), said["series"])
