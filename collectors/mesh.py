"""Istio's standard metrics, sidecar and ambient: both proxies report the same request, so their words are
reconciled, never added.

An edge is what the caller's proxy says (it alone sees connections that fail); a node's inbound traffic is what
its own proxy or waypoint says. TCP tells of connections, not of requests. Reference: topology 6.3.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from app.model.fleet import CONNECTIONS, EvidenceKind, Identity, NodeKind, Witness
from collectors.families import Found
from collectors.mesh_report import Layer, Report, mesh_edges, mesh_nodes
from collectors.readings import EdgeKey, status_outcome
from collectors.tally import Outcome, Reading, Tally
from collectors.witness import Moment, Parties

_NO_NAME = {"", "unknown"}
_NO_FLAG = {"", "-"}
_NEVER_REACHED = frozenset({"UF", "UH", "UO", "URX", "NR"})
_CALLER_LEFT = "DC"
_EGRESS = {"PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster"}
_SIDES = ("destination", "waypoint", "source")
_TUNNEL = "ztunnel"
# Envoy's documentation of access logs, %RESPONSE_FLAGS%
_FLAG_WORDS = {
    "DC": "caller closed the connection",
    "LH": "failed health check",
    "LR": "reset by the proxy",
    "NC": "no such upstream",
    "NR": "no route",
    "RL": "rate limited",
    "UAEX": "refused by authorisation",
    "UC": "connection closed by the callee",
    "UF": "connection failed",
    "UH": "no healthy upstream",
    "UO": "overflow, circuit breaker",
    "UPE": "protocol error of the callee",
    "UR": "reset by the callee",
    "URX": "retry limit reached",
    "UT": "request timed out",
}


def read_mesh(found: Found, labels: Mapping[str, str]) -> Reading | None:
    """A row of istio_requests_total, its durations, or TCP connections and bytes."""
    reporter = labels.get("reporter", "")
    tcp = found.family.protocol == "tcp"
    tunnel = tcp and labels.get("app", "") == _TUNNEL
    if reporter not in _SIDES or (tunnel and _is_waypoint(labels.get("source_workload", ""))):
        return None
    flags = labels.get("response_flags", "")
    protocol = "tcp" if tcp else labels.get("request_protocol", "") or "http"
    layer = Layer.TUNNEL if tunnel else Layer.TCP if tcp else Layer.HTTP
    abroad = _abroad(labels)
    edge = EdgeKey(
        _source(labels, abroad if reporter == "destination" else ""),
        _target(labels, abroad if reporter != "destination" else "", tcp=tcp),
        protocol[:20],
    )
    report = Report(edge, _pair(labels, edge), reporter, layer, "" if flags in _NO_FLAG else flags[:40])
    return Reading(report, report, _outcome(labels, set(flags.split(",")), tcp=tcp))


def _abroad(labels: Mapping[str, str]) -> str:
    """The other cluster of a call between two: seen from the caller the callee's, and the other way round."""
    source, target = (_known(labels.get(f"{side}_cluster", "")) for side in ("source", "destination"))
    if not source or not target or source == target:
        return ""
    return source if labels.get("reporter") == "destination" else target


def _is_waypoint(workload: str) -> bool:
    """Whether a tunnel leads from a waypoint to its service: the waypoint has told of these requests."""
    return workload == "waypoint" or workload.endswith("-waypoint")


def _pair(labels: Mapping[str, str], edge: EdgeKey) -> tuple[str, ...]:
    """What both proxies call the two ends alike, however much of the workload each of them knows."""
    namespace = _known(labels.get("destination_service_namespace", "")) or edge.target.namespace
    service = _known(labels.get("destination_service_name", ""))
    service = edge.target.name if service in _EGRESS or not service else service
    source = edge.source
    return source.kind.value, source.namespace, source.name, namespace, service or edge.target.address


def _source(labels: Mapping[str, str], cluster: str) -> Identity:
    """The caller. One that is not in the mesh has no name here: it is a client, as in traces without its span."""
    workload = labels.get("source_workload", "")
    if workload in _NO_NAME:
        return Identity(name="user", kind=NodeKind.CLIENT)
    canonical = _known(labels.get("source_canonical_service", ""))
    namespace = _known(labels.get("source_workload_namespace", ""))
    if cluster:
        return Identity(name=_elsewhere(canonical or workload, namespace, cluster), kind=NodeKind.CLIENT)
    return Identity(name=canonical or workload[:253], namespace=namespace, workload=workload[:253])


def _target(labels: Mapping[str, str], cluster: str, *, tcp: bool) -> Identity:
    service = _known(labels.get("destination_service_name", ""))
    workload = _known(labels.get("destination_workload", ""))
    namespace = _known(labels.get("destination_workload_namespace", "")) or _known(
        labels.get("destination_service_namespace", "")
    )
    if not workload and (service in _EGRESS or not (service or labels.get("destination_service"))):
        return Identity(kind=NodeKind.EXTERNAL, alias=service or "unknown destination", scope="egress")
    name = _known(labels.get("destination_canonical_service", "")) or (
        workload if service in _EGRESS else service or workload
    )
    if cluster:
        return Identity(kind=NodeKind.EXTERNAL, alias=_elsewhere(name, namespace, cluster))
    if workload:
        return Identity(name=name, namespace=namespace, workload=workload)
    host = _known(labels.get("destination_service", "")) or service
    if "." in service:  # a ServiceEntry
        return Identity(kind=NodeKind.EXTERNAL, address=service)
    if not tcp:
        return Identity(name=name, namespace=namespace)
    dns = host if "." in host or not namespace else f"{service}.{namespace}.svc"
    return Identity(kind=NodeKind.EXTERNAL, address=dns, alias=name, detail=CONNECTIONS)


def _elsewhere(name: str, namespace: str, cluster: str) -> str:
    return f"{name}.{namespace}@{cluster}" if namespace else f"{name}@{cluster}"


def _known(name: str) -> str:
    return "" if name in _NO_NAME else name[:253]


def _outcome(labels: Mapping[str, str], flags: set[str], *, tcp: bool) -> Outcome:
    if tcp:
        return Outcome.FAILED if flags & _NEVER_REACHED else Outcome.UNTOLD
    if _CALLER_LEFT in flags:
        return Outcome.CALLER_ERROR
    if flags & _NEVER_REACHED:
        return Outcome.FAILED
    code = labels.get("grpc_response_status", "")
    if labels.get("request_protocol") == "grpc" and code:
        return status_outcome(code, grpc=True)
    return status_outcome(labels.get("response_code", ""))


def flag_words(flags: str) -> str:
    """`UO overflow, circuit breaker` of Envoy's response flags; unknown ones stay as they are."""
    return " ".join(f"{flag} {_FLAG_WORDS.get(flag, '')}".strip() for flag in flags.split(","))


def mesh_witness(tally: Tally, moment: Moment, time: int = 0) -> Witness:
    """Edges and node traffic of a tally whose keys came from `read_mesh`."""
    reports = [key for key in tally.keys if isinstance(key, Report)]
    parties = Parties()
    chosen = _edge_rows(reports)
    edges = mesh_edges(tally, reports, chosen, parties, moment, time, words=flag_words)
    nodes = mesh_nodes(tally, reports, _node_rows(reports), parties, time)
    return Witness(EvidenceKind.MESH, moment.as_of, moment.window, parties.all(), nodes, edges)


def _edge_rows(reports: Iterable[Report]) -> list[int]:
    """Rows of the most trusted reporter of each pair: the source, else the waypoint, else the destination.

    Tunnels carry what waypoints and sidecars tell better: they count only where nobody else speaks of the pair.
    """
    by_pair: dict[tuple[tuple[str, ...], Layer], dict[str, list[int]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row, report in enumerate(reports):
        by_pair[(report.pair, report.layer)][report.reporter].append(row)
    return [
        row
        for (pair, layer), sides in by_pair.items()
        if layer is not Layer.TUNNEL or not ({(pair, Layer.HTTP), (pair, Layer.TCP)} & by_pair.keys())
        for row in next(sides[side] for side in ("source", "waypoint", "destination") if side in sides)
    ]


def _node_rows(reports: Iterable[Report]) -> list[int]:
    """Inbound requests per service: its own proxy's word, else its waypoint's, else what callers say."""
    by_service: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, report in enumerate(reports):
        target = report.edge.target
        if report.layer is Layer.HTTP and target.name:
            by_service[(target.namespace, target.name)][report.reporter].append(row)
    return [
        row for sides in by_service.values() for row in next(sides[side] for side in _SIDES if side in sides)
    ]
