"""What proxies of a mesh report, as columns: requests with their outcomes, and connections that are only noted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from app.model.fleet import EdgeTraffic, NodeTraffic
from app.model.series import BUCKETS, Floats
from collectors.readings import EdgeKey
from collectors.tally import Tally
from collectors.witness import Moment, Parties, edge_traffic

_CALLEE = "destination"


class Layer(StrEnum):
    """At which layer a proxy looked: at requests, at connections, or at the tunnel below both."""

    HTTP = "http"
    TCP = "tcp"
    TUNNEL = "tunnel"


@dataclass(frozen=True, slots=True)
class Report:
    """One proxy's word on one edge. `pair` is what both its proxies call the ends, `flags` what ended the rows."""

    edge: EdgeKey
    pair: tuple[str, ...]
    reporter: str
    layer: Layer
    flags: str = ""


def mesh_edges(
    tally: Tally,
    reports: Sequence[Report],
    chosen: Sequence[int],
    parties: Parties,
    moment: Moment,
    time: int,
    *,
    words: Callable[[str], str],
) -> EdgeTraffic:
    """The chosen rows as edges; `words` says what flags mean. Rows of connections have no requests, but a note."""
    rows = np.array([row for row in chosen if not _untold(tally, reports[row], row, time)], np.int64)
    picked = [reports[row] for row in rows]
    counted = np.array([report.layer is Layer.HTTP for report in picked], bool)
    callers = np.array([report.reporter == "source" for report in picked], bool)[:, None]
    latency = tally.latency[rows, time]
    seconds = max(moment.window.total_seconds(), 1e-9)
    return edge_traffic(
        parties,
        [report.edge for report in picked],
        requests=np.where(counted, tally.requests[rows, time], np.nan),
        failed=np.where(counted, tally.failed[rows, time], np.nan),
        caller_errors=np.where(counted, tally.caller_errors[rows, time], np.nan),
        client_latency=np.where(callers, latency, 0.0),
        server_latency=_server_latency(tally, reports, rows.tolist(), time),
        floor=tally.floor[rows],
        notes=tuple(
            _note(tally, report, row, time, seconds, words)
            for report, row in zip(picked, rows.tolist(), strict=True)
        ),
    )


def _untold(tally: Tally, report: Report, row: int, time: int) -> bool:
    """Requests that are no number say nothing; connections are seen even when only their bytes are counted."""
    return report.layer is Layer.HTTP and bool(np.isnan(tally.requests[row, time]))


def _server_latency(tally: Tally, reports: Sequence[Report], rows: Sequence[int], time: int) -> Floats:
    """As the callee's proxy or the waypoint before it measured, once per edge whatever the number of its rows."""
    theirs: dict[EdgeKey, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, report in enumerate(reports):
        if report.layer is Layer.HTTP:
            theirs[report.edge][report.reporter].append(row)
    found = np.zeros((len(rows), BUCKETS))
    for place, row in enumerate(rows):
        sides = theirs.pop(reports[row].edge, {})
        for side in (_CALLEE, "waypoint"):
            if side in sides:
                found[place] = tally.latency[sides[side], time].sum(axis=0)
                break
    return found


def _note(
    tally: Tally, report: Report, row: int, time: int, seconds: float, words: Callable[[str], str]
) -> str:
    count = tally.requests[row, time] / seconds
    if report.layer is Layer.HTTP:
        return f"{words(report.flags)}: {count:.3g} requests/s" if report.flags and count > 0 else ""
    if report.flags:
        return f"{words(report.flags)}: {count:.3g} connections/s" if count > 0 else ""
    opened = "" if np.isnan(count) else f"{count:.3g} connections/s opened, "
    return f"TCP: {opened}{_bytes(tally.volume[row, time] / seconds)}/s both ways"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.3g} {unit}"


def mesh_nodes(
    tally: Tally, reports: Sequence[Report], chosen: Sequence[int], parties: Parties, time: int
) -> NodeTraffic:
    """The chosen rows as inbound traffic of their targets."""
    rows = np.array([row for row in chosen if not np.isnan(tally.requests[row, time])], np.int64)
    requests = tally.requests[rows, time]
    return NodeTraffic(
        party=parties.numbers([reports[row].edge.target for row in rows]),
        requests=requests,
        failed=tally.failed[rows, time],
        raw=requests,
        latency=tally.latency[rows, time],
        versions=("",) * len(rows),
        floor=tally.floor[rows],
    )
