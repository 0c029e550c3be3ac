"""Istio's standard metrics: both proxies report the same request, so their words are reconciled, never added.

An edge is what the caller's proxy says (it alone sees connections that fail); a node's inbound traffic is what
its own proxy or waypoint says. Reference: topology 6.3.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.model.fleet import EvidenceKind, Identity, NodeKind, NodeTraffic, Witness
from collectors.families import Found
from collectors.readings import EdgeKey, status_outcome
from collectors.tally import Outcome, Reading, Tally
from collectors.witness import Moment, Parties, Rows, edge_traffic

_NO_NAME = {"", "unknown"}
_NEVER_REACHED = frozenset({"UF", "UH", "UO", "URX", "NR"})
_CALLER_LEFT = "DC"
_EGRESS = {"PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster"}
_SIDES = ("destination", "waypoint", "source")


@dataclass(frozen=True, slots=True)
class _Report:
    """One proxy's word on one edge; `reached` = a workload took the request."""

    edge: EdgeKey
    reporter: str
    reached: bool


def read_mesh(found: Found, labels: Mapping[str, str]) -> Reading | None:
    """A row of istio_requests_total, its durations, or TCP connections opened."""
    reporter = labels.get("reporter", "")
    if reporter not in _SIDES:
        return None
    flags = set(labels.get("response_flags", "").split(","))
    reached = labels.get("destination_workload", "") not in _NO_NAME and not flags & _NEVER_REACHED
    protocol = "tcp" if found.family.protocol == "tcp" else labels.get("request_protocol", "") or "http"
    report = _Report(EdgeKey(_source(labels), _target(labels), protocol[:20]), reporter, reached)
    return Reading(report, report, _outcome(found, labels, flags))


def _source(labels: Mapping[str, str]) -> Identity:
    workload = labels.get("source_workload", "")
    if workload in _NO_NAME:
        return Identity(name="unknown", kind=NodeKind.CLIENT, alias="callers outside the mesh")
    canonical = labels.get("source_canonical_service", "")
    return Identity(
        name=workload if canonical in _NO_NAME else canonical,
        namespace=_known(labels.get("source_workload_namespace", "")),
        workload=workload,
    )


def _target(labels: Mapping[str, str]) -> Identity:
    service = labels.get("destination_service_name", "")
    workload = _known(labels.get("destination_workload", ""))
    namespace = _known(labels.get("destination_workload_namespace", "")) or _known(
        labels.get("destination_service_namespace", "")
    )
    if service in _EGRESS:
        return Identity(kind=NodeKind.EXTERNAL, alias=service, scope="egress")
    if not workload and "." in service:
        return Identity(kind=NodeKind.EXTERNAL, address=service)
    canonical = _known(labels.get("destination_canonical_service", ""))
    return Identity(
        name=canonical or _known(service) or workload or "unknown", namespace=namespace, workload=workload
    )


def _known(name: str) -> str:
    return "" if name in _NO_NAME else name[:253]


def _outcome(found: Found, labels: Mapping[str, str], flags: set[str]) -> Outcome:
    if found.family.protocol == "tcp":
        return Outcome.FAILED if flags & _NEVER_REACHED else Outcome.UNTOLD
    if _CALLER_LEFT in flags:
        return Outcome.CALLER_ERROR
    if flags & _NEVER_REACHED:
        return Outcome.FAILED
    code = labels.get("grpc_response_status", "")
    if labels.get("request_protocol") == "grpc" and code:
        return status_outcome(code, grpc=True)
    return status_outcome(labels.get("response_code", ""))


def mesh_witness(tally: Tally, moment: Moment, time: int = 0) -> Witness:
    """Edges and node traffic of a tally whose keys came from `read_mesh`."""
    rows = [row for row in range(len(tally)) if not np.isnan(tally.requests[row, time])]
    reports = {row: key for row in rows if isinstance(key := tally.keys[row], _Report)}
    parties = Parties()
    chosen = _edge_rows(reports)
    mine = np.array([reports[row].reporter == "source" for row in chosen], bool)[:, None]
    latency = tally.latency[chosen, time]
    theirs = _callee_rows(reports)
    server = np.array([_sum(tally, theirs.get(reports[row].edge, []), time) for row in chosen]).reshape(
        latency.shape
    )
    edges = edge_traffic(
        parties,
        [reports[row].edge for row in chosen],
        requests=tally.requests[chosen, time],
        failed=tally.failed[chosen, time],
        caller_errors=tally.caller_errors[chosen, time],
        client_latency=np.where(mine, latency, 0.0),
        server_latency=server,
    )
    nodes = _nodes(tally, reports, parties, time)
    return Witness(EvidenceKind.MESH, moment.as_of, moment.window, parties.all(), nodes, edges)


def _edge_rows(reports: Mapping[int, _Report]) -> Rows:
    """Rows of the most trusted reporter of each edge: the source, else the waypoint, else the destination."""
    by_edge: dict[EdgeKey, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, report in reports.items():
        by_edge[report.edge][report.reporter].append(row)
    picked = [
        row
        for sides in by_edge.values()
        for row in next(sides[side] for side in ("source", "waypoint", "destination") if side in sides)
    ]
    return np.array(picked, np.int64)


def _callee_rows(reports: Mapping[int, _Report]) -> dict[EdgeKey, list[int]]:
    rows: dict[EdgeKey, list[int]] = defaultdict(list)
    for row, report in reports.items():
        if report.reporter == "destination":
            rows[report.edge].append(row)
    return rows


def _sum(tally: Tally, rows: list[int], time: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(tally.latency[rows, time].sum(axis=0))


def _nodes(tally: Tally, reports: Mapping[int, _Report], parties: Parties, time: int) -> NodeTraffic:
    """Inbound traffic per service: its own proxy's word, else its waypoint's, else what callers say."""
    by_service: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, report in reports.items():
        target = report.edge.target
        if target.kind is NodeKind.SERVICE and report.edge.protocol != "tcp":
            by_service[(target.namespace, target.name)][report.reporter].append(row)
    rows = [
        row for sides in by_service.values() for row in next(sides[side] for side in _SIDES if side in sides)
    ]
    picked = np.array(rows, np.int64)
    requests = tally.requests[picked, time]
    return NodeTraffic(
        party=parties.numbers([reports[row].edge.target for row in rows]),
        requests=requests,
        failed=tally.failed[picked, time],
        raw=requests,
        latency=tally.latency[picked, time],
        versions=("",) * len(rows),
    )
