"""The metric families that are recognised, and which labels play which role in them.

Pure knowledge, most trusted first. A service that exposes several families of one protocol is read from one
of them only (the first that tells outcomes), so nothing is counted twice. Roles are found by looking at the
labels a family really has; a role may be pinned to a label by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from app.model.fleet import EvidenceKind


class Role(StrEnum):
    """What a label is for."""

    SERVICE = "service"
    NAMESPACE = "namespace"
    WORKLOAD = "workload"
    VERSION = "version"
    STATUS = "status"
    ERROR = "error"
    ADDRESS = "address"
    PORT = "port"
    PEER = "peer"
    ENGINE = "engine"
    DATABASE = "database"
    SYSTEM = "system"
    DESTINATION = "destination"
    OPERATION = "operation"


LABELS: Mapping[Role, tuple[str, ...]] = {
    Role.SERVICE: (
        "exported_service",
        "service_name",
        "service",
        "app_kubernetes_io_name",
        "app",
        "application",
        "k8s_deployment_name",
        "deployment",
        "exported_job",
        "job",
    ),
    Role.NAMESPACE: (
        "exported_namespace",
        "k8s_namespace_name",
        "namespace",
        "kubernetes_namespace",
        "service_namespace",
    ),
    Role.WORKLOAD: (
        "k8s_deployment_name",
        "k8s_statefulset_name",
        "k8s_daemonset_name",
        "deployment",
        "workload",
    ),
    Role.VERSION: ("service_version", "version", "app_version", "app_kubernetes_io_version"),
    Role.STATUS: (
        "http_response_status_code",
        "http_status_code",
        "status_code",
        "grpc_code",
        "rpc_response_status_code",
        "rpc_grpc_status_code",
        "response_code",
        "code",
        "status",
    ),
    Role.ERROR: ("error_type", "exception"),
    Role.ADDRESS: (
        "server_address",
        "network_peer_address",
        "net_peer_name",
        "net_sock_peer_addr",
        "peer_address",
    ),
    Role.PORT: ("server_port", "network_peer_port", "net_peer_port", "net_sock_peer_port"),
    Role.PEER: ("service_peer_name", "peer_service"),
    Role.ENGINE: ("db_system_name", "db_system"),
    Role.DATABASE: ("db_namespace", "db_name"),
    Role.SYSTEM: ("messaging_system",),
    Role.DESTINATION: (
        "messaging_destination_template",
        "messaging_destination_name",
        "messaging_destination",
        "topic",
    ),
    Role.OPERATION: ("messaging_operation_type", "messaging_operation", "messaging_operation_name"),
}

_WHO = (Role.SERVICE, Role.NAMESPACE, Role.WORKLOAD)
_SERVER = (*_WHO, Role.VERSION, Role.STATUS, Role.ERROR)
_CALLER = (*_WHO, Role.STATUS, Role.ERROR, Role.ADDRESS, Role.PORT, Role.PEER)
_MESSAGING = (*_WHO, Role.ERROR, Role.ADDRESS, Role.PORT, Role.SYSTEM, Role.DESTINATION, Role.OPERATION)


class Part(StrEnum):
    """How the rows of a metric are added up."""

    COUNT = "n"
    FAILED = "f"
    LATENCY = "b"
    SERVER_LATENCY = "s"
    SERVER_TIME = "z"
    BYTES = "y"
    EXPIRED = "e"
    PAIRED = "p"


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of metric: its evidence, protocol, metrics per part, and the roles or fixed labels to keep.

    `unit` is the seconds in one unit of its buckets. `select` goes into the selector. `silence_is_success`:
    the convention sets an error label on failures only, so a row without one succeeded. `counted_by`: labels that
    only counts are told apart by, not buckets. `needed`: labels without which it is another metric of that name.
    """

    evidence: EvidenceKind
    protocol: str
    metrics: tuple[tuple[Part, str], ...]
    roles: tuple[Role, ...] = ()
    fixed: tuple[str, ...] = ()
    unit: float = 1.0
    select: str = ""
    silence_is_success: bool = False
    counted_by: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()

    @property
    def main(self) -> str:
        """The metric whose presence says that the family is there."""
        return self.metrics[0][1]


@dataclass(frozen=True, slots=True)
class Found:
    """A family of this Prometheus: the parts it really has, the labels to group by, the scrape interval seen."""

    family: Family
    metrics: tuple[tuple[Part, str], ...]
    labels: tuple[str, ...]
    by_role: Mapping[Role, tuple[str, ...]]
    interval: timedelta | None = None


def _histogram(
    evidence: EvidenceKind, protocol: str, base: str, roles: tuple[Role, ...], **more: object
) -> Family:
    metrics = ((Part.COUNT, f"{base}_count"), (Part.LATENCY, f"{base}_bucket"))
    return Family(evidence, protocol, metrics, roles, **more)  # type: ignore[arg-type]


_S, _C, _P = EvidenceKind.SERVER_METRICS, EvidenceKind.CLIENT_METRICS, EvidenceKind.SPAN_METRICS
_MS: dict[str, object] = {"unit": 0.001}
_OTEL: dict[str, object] = {"silence_is_success": True}

FAMILIES: tuple[Family, ...] = (
    _histogram(_S, "http", "http_server_request_duration_seconds", _SERVER),
    _histogram(_S, "http", "http_server_duration_milliseconds", _SERVER, **_MS),
    _histogram(_S, "http", "http_server_duration_seconds", _SERVER),
    _histogram(_S, "http", "http_server_requests_seconds", _SERVER),
    _histogram(_S, "http", "http_request_duration_seconds", _SERVER),
    Family(_S, "http", ((Part.COUNT, "http_requests_total"),), _SERVER),
    Family(_S, "http", ((Part.COUNT, "http_server_requests_total"),), _SERVER),
    _histogram(_S, "grpc", "rpc_server_call_duration_seconds", _SERVER),
    _histogram(_S, "grpc", "rpc_server_duration_milliseconds", _SERVER, **_MS),
    _histogram(_S, "grpc", "rpc_server_duration_seconds", _SERVER),
    Family(
        _S,
        "grpc",
        ((Part.COUNT, "grpc_server_handled_total"), (Part.LATENCY, "grpc_server_handling_seconds_bucket")),
        _SERVER,
    ),
    _histogram(_C, "http", "http_client_request_duration_seconds", _CALLER, **_OTEL),
    _histogram(_C, "http", "http_client_duration_milliseconds", _CALLER, **_OTEL, **_MS),
    _histogram(_C, "grpc", "rpc_client_call_duration_seconds", _CALLER, **_OTEL),
    _histogram(_C, "grpc", "rpc_client_duration_milliseconds", _CALLER, **_OTEL, **_MS),
    _histogram(
        _C, "db", "db_client_operation_duration_seconds", (*_CALLER, Role.ENGINE, Role.DATABASE), **_OTEL
    ),
    _histogram(_C, "messaging", "messaging_process_duration_seconds", _MESSAGING, **_OTEL),
    _histogram(_C, "messaging", "messaging_client_operation_duration_seconds", _MESSAGING, **_OTEL),
)

_SPAN_KINDS = 'span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"'
_SPAN_ROLES = (*_WHO, Role.VERSION)


def _span(calls: str, bucket: str, unit: float) -> Family:
    return Family(
        _P,
        "spans",
        ((Part.COUNT, calls), (Part.LATENCY, bucket)),
        _SPAN_ROLES,
        fixed=("status_code",),
        unit=unit,
        select=_SPAN_KINDS,
    )


SPAN_FAMILIES: tuple[Family, ...] = (
    _span("traces_spanmetrics_calls_total", "traces_spanmetrics_latency_bucket", 1.0),
    _span("traces_span_metrics_calls_total", "traces_span_metrics_duration_milliseconds_bucket", 0.001),
    _span("traces_span_metrics_calls_total", "traces_span_metrics_duration_seconds_bucket", 1.0),
    _span("calls_total", "duration_milliseconds_bucket", 0.001),
    _span("calls_total", "duration_seconds_bucket", 1.0),
)

MESH_LABELS: tuple[str, ...] = (
    "reporter",
    "source_cluster",
    "source_workload_namespace",
    "source_workload",
    "source_canonical_service",
    "destination_cluster",
    "destination_service",
    "destination_service_namespace",
    "destination_service_name",
    "destination_workload_namespace",
    "destination_workload",
    "destination_canonical_service",
)
MESH_OUTCOME = ("response_code", "grpc_response_status", "response_flags")

LINKERD_OWNERS = ("deployment", "statefulset", "daemonset")
LINKERD_LABELS: tuple[str, ...] = (
    "direction",
    "namespace",
    *LINKERD_OWNERS,
    "dst_namespace",
    "dst_service",
    *(f"dst_{owner}" for owner in LINKERD_OWNERS),
    "authority",
)
LINKERD_OUTCOME = ("classification", "status_code", "grpc_status_code", "error")

MESH_FAMILIES: tuple[Family, ...] = (
    Family(
        EvidenceKind.MESH,
        "http",
        (
            (Part.COUNT, "istio_requests_total"),
            (Part.LATENCY, "istio_request_duration_milliseconds_bucket"),
        ),
        fixed=(*MESH_LABELS, "request_protocol", *MESH_OUTCOME),
        unit=0.001,
        counted_by=MESH_OUTCOME,
        needed=("reporter",),
    ),
    Family(
        EvidenceKind.MESH,
        "tcp",
        (
            (Part.COUNT, "istio_tcp_connections_opened_total"),
            (Part.BYTES, "istio_tcp_sent_bytes_total"),
            (Part.BYTES, "istio_tcp_received_bytes_total"),
        ),
        fixed=(*MESH_LABELS, "app", "response_flags"),
        needed=("reporter",),
    ),
    Family(
        EvidenceKind.LINKERD,
        "http",
        ((Part.COUNT, "response_total"), (Part.LATENCY, "response_latency_ms_bucket")),
        fixed=(*LINKERD_LABELS, *LINKERD_OUTCOME),
        unit=0.001,
        counted_by=LINKERD_OUTCOME,
        needed=("direction", "classification"),
    ),
    Family(
        EvidenceKind.LINKERD,
        "tcp",
        (
            (Part.COUNT, "tcp_open_total"),
            (Part.BYTES, "tcp_write_bytes_total"),
            (Part.BYTES, "tcp_read_bytes_total"),
        ),
        fixed=(*LINKERD_LABELS, "target_addr"),
        select='direction="outbound",peer="dst"',
        needed=("direction", "peer"),
    ),
)

GRAPH_SUFFIX = "traces_service_graph_request_total"
# dimensions that operators add to the generator; with them a database is the same node as in traces
GRAPH_ENGINES = (
    "server_db_system_name",
    "server_db_system",
    "client_db_system_name",
    "client_db_system",
    "db_system_name",
    "db_system",
)
GRAPH_LABELS: tuple[str, ...] = (
    "client",
    "server",
    "connection_type",
    "virtual_node",
    "client_service_namespace",
    "server_service_namespace",
    "client_k8s_namespace_name",
    "server_k8s_namespace_name",
    *GRAPH_ENGINES,
)


def graph_family(total: str) -> Family:
    """The service-graph family whose request counter is called `total`; every prefix is possible."""
    base = total.removesuffix("_total")
    return Family(
        EvidenceKind.SERVICE_GRAPH,
        "graph",
        (
            (Part.COUNT, total),
            (Part.FAILED, f"{base}_failed_total"),
            (Part.LATENCY, f"{base}_client_seconds_bucket"),
            (Part.SERVER_LATENCY, f"{base}_server_seconds_bucket"),
            (Part.SERVER_TIME, f"{base}_server_seconds_sum"),
            *_pairing(total.removesuffix(GRAPH_SUFFIX)),
        ),
        fixed=GRAPH_LABELS,
    )


def _pairing(prefix: str) -> tuple[tuple[Part, str], ...]:
    """Counters of how many spans found their other half: the OpenTelemetry connector's, and Tempo's own."""
    connector, tempo = f"{prefix}traces_service_graph", "tempo_metrics_generator_processor_service_graphs"
    return (
        (Part.EXPIRED, f"{connector}_unpaired_spans_total"),
        (Part.EXPIRED, f"{connector}_dropped_spans_total"),
        (Part.EXPIRED, f"{tempo}_expired_edges"),
        (Part.PAIRED, f"{tempo}_edges"),
    )


def recognise(names: Set[str], mesh: str = "auto") -> list[Family]:
    """The families among these metric names, most trusted first. A family is there when its counter is.

    `mesh`: istio or linkerd to read only that mesh, none for neither, auto for whichever is there.
    """
    graphs = [graph_family(name) for name in sorted(names) if name.endswith(GRAPH_SUFFIX)]
    meshes = [family for family in MESH_FAMILIES if mesh in ("auto", family.evidence.value)]
    listed = [family for family in (*meshes, *FAMILIES) if family.main in names]
    spans = [f for f in SPAN_FAMILIES if f.main in names and (f.metrics[1][1] in names)]
    spans = spans or [f for f in SPAN_FAMILIES if f.main in names][:1]
    return [*graphs, *listed, *spans]


def name_matcher() -> str:
    """A regular expression over metric names that keeps an answer to what is recognised."""
    known = sorted(
        {metric for family in (*MESH_FAMILIES, *FAMILIES, *SPAN_FAMILIES) for _, metric in family.metrics}
    )
    graphs = [".*traces_service_graph_.*", "tempo_metrics_generator_processor_service_graphs_.*"]
    return "|".join([*known, *graphs])


def settle(
    family: Family, names: Set[str], labels: Set[str], pinned: Mapping[Role, str] | None = None
) -> Found | None:
    """What a family offers here, given all metric names and the labels it carries; None when nobody is named."""
    if not set(family.needed) <= labels:
        return None
    by_role: dict[Role, tuple[str, ...]] = {}
    for role in family.roles:
        pin = (pinned or {}).get(role)
        candidates = (pin,) if pin else LABELS[role]
        by_role[role] = tuple(label for label in candidates if label in labels)
    if Role.SERVICE in family.roles and not by_role[Role.SERVICE]:
        return None
    grouped = dict.fromkeys(label for held in by_role.values() for label in held)
    grouped.update(dict.fromkeys(label for label in family.fixed if label in labels))
    metrics = tuple((part, metric) for part, metric in family.metrics if metric in names)
    return Found(family, metrics, tuple(grouped), by_role)
