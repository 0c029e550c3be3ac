"""What the fleet is made of: services, inferred nodes, edges, their traffic, health and evidence.

Two stages. A *Snapshot* is what one collector saw: parties under the names that source uses, and traffic
in columns. A *Topology* is what understanding makes of all snapshots: nodes and edges under our own ids,
with health. Everything unknown is None (or NaN in a column), never 0.

What a topology holds by the thousand are msgspec structs: made twelve times as fast as a frozen dataclass, and
passed over by the garbage collector, as they never hold each other in a circle. `msgspec.structs.replace` copies one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.model.inventory import Inventory
from app.model.series import BUCKETS, Floats

Ints = NDArray[np.int32]
Masks = NDArray[np.uint16]


class HealthStatus(StrEnum):
    """Health states, worst first: this order is the sort order of every list, on server and in browser."""

    FAILING = "failing"
    DEGRADED = "degraded"
    UNKNOWN = "unknown"
    MAINTENANCE = "maintenance"
    IDLE = "idle"
    HEALTHY = "healthy"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return _RANK[self]


_RANK = {status: rank for rank, status in enumerate(HealthStatus)}


class NodeKind(StrEnum):
    """What a node is; only a service is run by us, all others are inferred from the calls of services."""

    SERVICE = "service"
    DATABASE = "database"
    CACHE = "cache"
    QUEUE = "queue"
    EXTERNAL = "external"
    CLIENT = "client"


class EdgeKind(StrEnum):
    """Synchronous calls wait for their answer; asynchronous ones pass through a queue."""

    SYNC = "sync"
    ASYNC = "async"


class EvidenceKind(StrEnum):
    """Who says so, in the order of trust for rates and errors (reference: topology, merging sources)."""

    MESH = "istio"
    LINKERD = "linkerd"
    SERVICE_GRAPH = "service-graph"
    CLIENT_METRICS = "client-metrics"
    SERVER_METRICS = "server-metrics"
    SPAN_METRICS = "span-metrics"
    TRACES = "traces"
    KUBERNETES = "kubernetes"

    @property
    def bit(self) -> int:
        """The kind's bit in a mask of kinds."""
        return 1 << _STORED.index(self.value)


# Masks are stored: a new kind goes to the end, whatever its rank of trust.
_STORED = (
    "istio",
    "service-graph",
    "client-metrics",
    "server-metrics",
    "span-metrics",
    "traces",
    "kubernetes",
    "linkerd",
)


def kinds_of(mask: int) -> tuple[EvidenceKind, ...]:
    """The kinds of a mask, most trusted first."""
    return tuple(kind for kind in EvidenceKind if mask & kind.bit)


class Reason(msgspec.Struct, frozen=True, gc=False):
    """Why a health status holds: a stable code, a sentence, and the value against its threshold."""

    code: str
    message: str
    value: float | None = None
    threshold: float | None = None


class Health(msgspec.Struct, frozen=True, gc=False):
    """A status since a moment, with its reasons (worst first)."""

    status: HealthStatus
    since: datetime | None = None
    reasons: tuple[Reason, ...] = ()


class Latency(msgspec.Struct, frozen=True, gc=False):
    """Quantiles in seconds; None = no data, or, with `below`, somewhere under that bound of the lowest bucket."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    below: float | None = None


CONNECTIONS = "TCP"


@dataclass(frozen=True, slots=True)
class Identity:
    """A party under the names its source uses, before identity rules make a node of it.

    For a service: `name` plus whatever of namespace, workload, pod the source knows. For an inferred
    node: `kind`, `engine` (postgresql, redis, kafka …), `address` (host:port as seen by the caller) and,
    for a queue, `destination`. `alias` is a display name (peer.service); `detail` a sub-label (db.namespace, or
    CONNECTIONS where nobody looked at requests).
    `scope` ties a nameless or loopback peer to the one caller that saw it.
    """

    name: str = ""
    namespace: str = ""
    workload: str = ""
    pod: str = ""
    pod_uid: str = ""
    kind: NodeKind = NodeKind.SERVICE
    engine: str = ""
    address: str = ""
    destination: str = ""
    alias: str = ""
    detail: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class NodeTraffic:
    """Inbound traffic of parties, in columns of equal length n, over the witness's window.

    party: index into the witness's parties. requests, failed: counts (float, sampling-corrected).
    raw: requests really seen (for confidence; equals requests when unsampled). latency: (n, BUCKETS) counts,
    an all-zero row = no latency known. versions: software version of each row ("" = not told);
    several rows of one party are added. floor: seconds below which a row's histogram tells nothing apart
    (0 = it does; None = all rows do).
    """

    party: Ints
    requests: Floats
    failed: Floats
    raw: Floats
    latency: Floats
    versions: tuple[str, ...]
    floor: Floats | None = None

    def __len__(self) -> int:
        return len(self.party)


@dataclass(frozen=True, slots=True)
class EdgeTraffic:
    """Calls between parties, in columns of equal length n, over the witness's window.

    source, target: indexes into the witness's parties. requests, failed, caller_errors (4xx and their like),
    raw: counts as in NodeTraffic. client_latency, server_latency: (n, BUCKETS) counts as the caller and as
    the callee measured; all-zero = not known. protocol: http, grpc, tcp, messaging or the engine's name.
    requests is NaN where an edge is seen whose requests are not counted (TCP). floor: as in NodeTraffic.
    notes: what else the source says of each row, in words ("" = nothing; () = no row has any).
    """

    source: Ints
    target: Ints
    requests: Floats
    failed: Floats
    caller_errors: Floats
    raw: Floats
    client_latency: Floats
    server_latency: Floats
    protocol: tuple[str, ...]
    kind: tuple[EdgeKind, ...]
    floor: Floats | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.source)


def no_node_traffic() -> NodeTraffic:
    """Zero rows."""
    empty = np.zeros(0)
    return NodeTraffic(np.zeros(0, np.int32), empty, empty, empty, np.zeros((0, BUCKETS)), ())


def no_masks() -> Masks:
    """Zero rows."""
    return np.zeros(0, np.uint16)


def no_edge_traffic() -> EdgeTraffic:
    """Zero rows."""
    rows, counts, buckets = np.zeros(0, np.int32), np.zeros(0), np.zeros((0, BUCKETS))
    return EdgeTraffic(rows, rows, counts, counts, counts, counts, buckets, buckets, (), ())


@dataclass(frozen=True, slots=True)
class Crossings:
    """Through which parties and edges the requests pass that entered the fleet somewhere, told by whole traces.

    A trace enters where its root span is. Of a uniform choice of traces (by trace id; `share` = 1.0 means all)
    over `window`, each counts once for every party and edge that it touches, however often it touches it.

    entry: (n,) index into the witness's parties of each place of entry. traces: (n,) traces really looked at,
    for confidence. requests: (n,) the requests they stand for (sampling-corrected, among the chosen share only:
    compare them, do not read them as a rate).
    Sparse triples: `node_requests[i]` of `requests[node_entry[i]]` touched party `node_party[i]`, and
    `edge_requests[i]` of `requests[edge_entry[i]]` used row `edge_row[i]` of the witness's edges; pairs that no
    trace showed are left out. `node_entry` and `edge_entry` index `entry`.
    When several parties become one node, their counts overlap: the truth lies between the largest and the sum.
    """

    window: timedelta
    share: float
    entry: Ints
    traces: Floats
    requests: Floats
    node_entry: Ints
    node_party: Ints
    node_requests: Floats
    edge_entry: Ints
    edge_row: Ints
    edge_requests: Floats


@dataclass(frozen=True, slots=True)
class Witness:
    """One kind of evidence over one window: who was seen, and how much they talked.

    `window` is the length the counts cover, ending at `as_of`. `sampling_ratio` is the share of requests
    that were really looked at (1.0 = all; None = not known). `crossings` only traces can tell.
    """

    evidence: EvidenceKind
    as_of: datetime
    window: timedelta
    parties: tuple[Identity, ...]
    nodes: NodeTraffic
    edges: EdgeTraffic
    sampling_ratio: float | None = 1.0
    crossings: Crossings | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one pull of one collector saw. `notices` are sentences for the sources page (truncations, drops)."""

    cluster: str
    source: str
    as_of: datetime
    witnesses: tuple[Witness, ...] = ()
    inventory: Inventory | None = None
    notices: tuple[str, ...] = ()


class SourceStatus(StrEnum):
    """How a source stands; anything but ok dims what came from it."""

    OK = "ok"
    LATE = "late"
    DOWN = "down"
    REFUSED = "refused"
    NONSENSE = "nonsense"
    STARTING = "starting"


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the word of a source is. `source` is `cluster/name`; `as_of` None = never heard of it.

    `since` is when the present status began, `error` the sentence of the last failure, `cost` what is
    missing without this source.
    """

    source: str
    as_of: datetime | None
    status: SourceStatus
    since: datetime | None = None
    error: str | None = None
    cost: str = ""


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """One source's word on one node or edge: its rate, its age, and how much of the traffic it looked at.

    `notes` are sentences of that source about the element, such as the response flags of a proxy.
    """

    source: EvidenceKind
    as_of: datetime
    rps: float | None = None
    sampling_ratio: float | None = None
    notes: tuple[str, ...] = ()


class Replicas(msgspec.Struct, frozen=True, gc=False):
    """Pods wanted and ready; None = Kubernetes did not say."""

    desired: int | None = None
    ready: int | None = None


class Node(msgspec.Struct, frozen=True, gc=False):
    """A service or inferred node with its inbound RED over the topology's window.

    `entry_share`: the share of the requests that enter the fleet which cross it, where traces tell it.
    """

    id: str
    name: str
    kind: NodeKind
    cluster: str
    health: Health
    namespace: str | None = None
    owner: str | None = None
    workload: tuple[str, str] | None = None
    rps: float | None = None
    error_ratio: float | None = None
    requests: float | None = None
    latency: Latency = Latency()
    replicas: Replicas = Replicas()
    versions: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    detail: str = ""
    matched_by: str = ""
    as_of: datetime | None = None
    entry_share: float | None = None


class Edge(msgspec.Struct, frozen=True, gc=False):
    """Calls from `source` to `target` (node ids) over the topology's window.

    `latency` is the caller's view, `server_latency` the callee's; their difference is network and queueing.
    `entry_share` as of a Node.
    """

    id: str
    source: str
    target: str
    kind: EdgeKind
    protocol: str
    health: Health
    rps: float | None = None
    error_ratio: float | None = None
    caller_error_ratio: float | None = None
    requests: float | None = None
    latency: Latency = Latency()
    server_latency: Latency = Latency()
    evidence: tuple[Evidence, ...] = ()
    as_of: datetime | None = None
    entry_share: float | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """The fleet of one cluster at `as_of`, over `window`, worst first in both lists."""

    cluster: str
    as_of: datetime
    window: timedelta
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    freshness: tuple[Freshness, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """For how many seconds of a frame a kind of evidence was alive, and the least share of requests it looked at."""

    seconds: float
    sampling_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One minute of one cluster, as it is stored: merged traffic under our own ids, in columns.

    node_ids, edge_ids: ids of rows. requests, failed: exact counts of the minute, NaN = nobody could look.
    latency: (n, BUCKETS) counts. Edge rows carry the caller's latency.
    `attributes` holds what a drawing of the past needs beside numbers (kind, name, protocol, health …).
    node_seen, edge_seen: which kinds of evidence gave each row its numbers (bits of EvidenceKind), and `witnesses`
    (by kind) how long each was alive at all; empty in frames of builds that did not keep it.
    """

    cluster: str
    start: datetime
    length: timedelta
    node_ids: tuple[str, ...]
    node_requests: Floats
    node_failed: Floats
    node_latency: Floats
    edge_ids: tuple[str, ...]
    edge_requests: Floats
    edge_failed: Floats
    edge_latency: Floats
    node_health: tuple[str, ...] = ()
    edge_health: tuple[str, ...] = ()
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    node_seen: Masks = field(default_factory=no_masks)
    edge_seen: Masks = field(default_factory=no_masks)
    witnesses: dict[str, Heard] = field(default_factory=dict)


def service_id(cluster: str, namespace: str, name: str) -> str:
    """`cluster:namespace:name`; an unknown namespace is `-`."""
    return f"{cluster}:{namespace or '-'}:{name}"


def inferred_id(cluster: str, kind: NodeKind, label: str) -> str:
    """`cluster:~kind:label`, label being engine@host:port, or system/destination for a queue."""
    return f"{cluster}:~{kind}:{label}"


def edge_id(source: str, target: str, protocol: str) -> str:
    """`source>target>protocol`: one edge per pair and protocol family. Node ids contain no `>`."""
    return f"{source}>{target}>{protocol}"
