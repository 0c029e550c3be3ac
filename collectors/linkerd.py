"""Linkerd's proxy metrics: edges from the caller's proxy, inbound traffic from the callee's.

The proxy names itself by the labels that Linkerd's scrape configuration copies from its pod (`namespace`,
`deployment` and its like), the callee by `dst_*`; inbound rows do not name their caller. Source: linkerd.io,
reference, proxy metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.model.fleet import EvidenceKind, Identity, NodeKind, Witness
from collectors.families import LINKERD_OWNERS, Found
from collectors.mesh_report import Layer, Report, mesh_edges, mesh_nodes
from collectors.readings import EdgeKey, status_outcome
from collectors.tally import Outcome, Reading, Tally
from collectors.witness import Moment, Parties

_LONGEST_NAME = 253
_NOBODY = Identity(name="user", kind=NodeKind.CLIENT)


def read_linkerd(found: Found, labels: Mapping[str, str]) -> Reading | None:
    """A row of responses, their latencies, or TCP connections and bytes."""
    own = _owner(labels, "")
    if own is None:
        return None
    direction = labels.get("direction", "")
    if direction == "inbound":
        source, target, reporter = _NOBODY, own, "destination"
    elif direction == "outbound" and (called := _callee(labels)) is not None:
        source, target, reporter = own, called, "source"
    else:
        return None
    tcp = found.family.protocol == "tcp"
    edge = EdgeKey(source, target, "tcp" if tcp else "http")
    pair = (source.namespace, source.name, target.namespace, target.name or target.address)
    report = Report(edge, pair, reporter, Layer.TUNNEL if tcp else Layer.HTTP, labels.get("error", "")[:60])
    return Reading(report, report, Outcome.UNTOLD if tcp else _outcome(labels))


def _owner(labels: Mapping[str, str], prefix: str) -> Identity | None:
    """The workload that `deployment` or its like names, under its namespace."""
    name = next((labels[prefix + owner] for owner in LINKERD_OWNERS if labels.get(prefix + owner)), "")
    name = name[:_LONGEST_NAME]
    namespace = labels.get(f"{prefix}namespace", "")[:_LONGEST_NAME]
    return Identity(name=name, namespace=namespace, workload=name) if name else None


def _callee(labels: Mapping[str, str]) -> Identity | None:
    if (workload := _owner(labels, "dst_")) is not None:
        return workload
    if service := labels.get("dst_service", "")[:_LONGEST_NAME]:
        return Identity(name=service, namespace=labels.get("dst_namespace", "")[:_LONGEST_NAME])
    address = (labels.get("authority", "") or labels.get("target_addr", ""))[:_LONGEST_NAME]
    return Identity(kind=NodeKind.EXTERNAL, address=address) if address else None


def _outcome(labels: Mapping[str, str]) -> Outcome:
    """By status where there is one: `classification` calls every gRPC code but OK a failure."""
    if code := labels.get("grpc_status_code", ""):
        return status_outcome(code, grpc=True)
    told = status_outcome(labels.get("status_code", "")) if labels.get("status_code") else Outcome.UNTOLD
    if told is not Outcome.UNTOLD:
        return told
    failed = {"failure": Outcome.FAILED, "success": Outcome.SUCCESS}
    return failed.get(labels.get("classification", ""), Outcome.UNTOLD)


def linkerd_witness(tally: Tally, moment: Moment, time: int = 0) -> Witness:
    """Edges and node traffic of a tally whose keys came from `read_linkerd`."""
    reports = [key for key in tally.keys if isinstance(key, Report)]
    parties = Parties()
    edges = mesh_edges(tally, reports, _edge_rows(reports), parties, moment, time, words=str)
    inbound = [row for row, report in enumerate(reports) if report.reporter == "destination"]
    nodes = mesh_nodes(tally, reports, inbound, parties, time)
    return Witness(EvidenceKind.LINKERD, moment.as_of, moment.window, parties.all(), nodes, edges)


def _edge_rows(reports: Sequence[Report]) -> list[int]:
    """Outbound rows; connections only between those of whom no responses are counted."""
    told = {report.pair for report in reports if report.layer is Layer.HTTP and report.reporter == "source"}
    return [
        row
        for row, report in enumerate(reports)
        if report.reporter == "source" and (report.layer is Layer.HTTP or report.pair not in told)
    ]
