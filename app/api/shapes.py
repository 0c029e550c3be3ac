"""The shapes of answers and bodies, as types: OpenAPI is made from them and tests hold answers to them.

Numbers that are not known are null, never 0; durations are seconds and say so; times are RFC 3339 UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta, Struct

Status = Literal["failing", "degraded", "unknown", "maintenance", "idle", "healthy"]
NodeKindName = Literal["service", "database", "cache", "queue", "external", "client"]
SourceState = Literal["ok", "late", "down", "refused", "nonsense", "starting"]


class Problem(TypedDict):
    """RFC 9457: what went wrong; `parameter` names what was wrong with the request."""

    type: str
    title: str
    status: int
    detail: str
    cure: str
    request_id: str
    parameter: NotRequired[str]


class FreshnessRow(TypedDict):
    """How old the word of one source (`cluster/name`) is; null = it was never heard."""

    source: str
    as_of: datetime | None
    age_seconds: float | None
    status: SourceState
    since: datetime | None
    error: str | None
    cost: str


class Read(TypedDict):
    """What every read carries."""

    as_of: datetime
    freshness: list[FreshnessRow]


class ReasonRow(TypedDict):
    """Why a health status holds."""

    code: str
    message: str
    value: float | None
    threshold: float | None


class HealthRow(TypedDict):
    """Health with its reasons, worst first."""

    status: Status
    since: datetime | None
    reasons: list[ReasonRow]


class LatencyRow(TypedDict):
    """Quantiles in seconds; null and a `below`: somewhere under that bound of the histogram's lowest bucket."""

    p50: float | None
    p95: float | None
    p99: float | None
    below: float | None


class ReplicasRow(TypedDict):
    """Pods wanted and ready."""

    desired: int | None
    ready: int | None


class EvidenceRow(TypedDict):
    """Who says so, and in `notes` what else it says: response flags, connections, what its numbers include."""

    source: str
    as_of: datetime
    rps: float | None
    sampling_ratio: float | None
    notes: list[str]


class WorkloadName(TypedDict):
    """Which Kubernetes object runs it."""

    kind: str
    name: str


class NodeFacts(TypedDict):
    """A service or inferred node with its inbound traffic."""

    id: str
    name: str
    kind: NodeKindName
    cluster: str
    namespace: str | None
    owner: str | None
    workload: WorkloadName | None
    health: HealthRow
    rps: float | None
    error_ratio: float | None
    requests: float | None
    latency_seconds: LatencyRow
    replicas: ReplicasRow
    versions: list[str]
    evidence: list[EvidenceRow]
    detail: str
    matched_by: str


class NodeRow(NodeFacts):
    """The same with the age of the newest word on it."""

    as_of: datetime | None


class ServiceRow(NodeRow):
    """The same in a list of services."""

    slos: list[str]


class EdgeRow(TypedDict):
    """Calls as the caller sees them, and their latency as the callee does; `as_of` is the newest word on them."""

    id: str
    kind: str
    protocol: str
    health: HealthRow
    rps: float | None
    error_ratio: float | None
    caller_error_ratio: float | None
    requests: float | None
    latency_seconds: LatencyRow
    server_latency_seconds: LatencyRow
    evidence: list[EvidenceRow]
    as_of: datetime | None


class CallRow(EdgeRow):
    """Calls between the node in question and another one."""

    node: str
    name: str


class ServiceDetail(NodeFacts, Read):
    """A node with who calls it and whom it calls; `as_of` is the topology's."""

    slos: list[str]
    window_seconds: float
    callers: list[CallRow]
    callees: list[CallRow]


class Services(Read):
    """A page of services, worst first."""

    items: list[ServiceRow]
    next_cursor: str | None
    window_seconds: float


class ClusterRow(TypedDict):
    """A configured cluster and what is seen of it."""

    name: str
    sources: list[str]
    services: int | None
    nodes: int | None
    health: dict[str, int]
    as_of: datetime | None


class Clusters(Read):
    """All clusters."""

    items: list[ClusterRow]
    next_cursor: str | None


class SeriesRow(TypedDict):
    """One line of a chart; null = no data."""

    role: str
    name: str
    unit: str
    y: list[float | None]


class HeatTable(TypedDict):
    """Requests per second by duration: z[b][i] took bounds[b] to bounds[b + 1] seconds in step i; null = no data."""

    bounds: list[float]
    z: list[list[float | None]]
    unit: str


class LineRow(TypedDict):
    """A horizontal line of a chart."""

    role: str
    y: float


class MarkRow(TypedDict):
    """A moment worth a vertical line."""

    t: float
    kind: str
    text: str
    href: str | None


class SeriesAnswer(Read):
    """Columns over time: point i is about [t0 + i * step_s, t0 + (i + 1) * step_s); t0 in Unix seconds."""

    t0: int
    step_s: float
    n: int
    source: str
    stale: bool
    series: list[SeriesRow]
    heat: HeatTable | None
    lines: list[LineRow]
    marks: list[MarkRow]
    caption: str


class TopologyNode(NodeRow):
    """A node of the topology with its place on the drawing."""

    x: float | None
    y: float | None


class TopologyEdge(EdgeRow):
    """An edge of the topology between two node ids."""

    source: str
    target: str


class Gone(TypedDict):
    """Ids that the version asked about had and this one has not."""

    nodes: list[str]
    edges: list[str]


class TopologyAnswer(TypedDict):
    """Nodes and edges; with `since` only those that changed, and `gone`. Columns with `format=columnar`."""

    as_of: datetime
    version: str
    window_seconds: float
    nodes: list[TopologyNode] | dict[str, list[Any]]
    edges: list[TopologyEdge] | dict[str, list[Any]]
    freshness: list[FreshnessRow]
    cluster: NotRequired[str]
    notices: NotRequired[list[str]]
    since: NotRequired[str]
    gone: NotRequired[Gone]


class ImpactEntry(TypedDict):
    """A service where requests enter the fleet, their rate there, and the share of them that crosses the element."""

    id: str
    name: str
    rps: float
    share: float


class ImpactCaller(TypedDict):
    """A node that calls the element, at once or through others (`direct`), and the share of its requests that do.

    `waits`: over calls that wait for their answer; else through queues only. `share` null: it begins requests itself.
    """

    id: str
    name: str
    kind: NodeKindName
    health: Status
    share: float | None
    direct: bool
    waits: bool


class ImpactAnswer(Read):
    """`share` of entry requests that cross the element, 0..1, by `traces` or estimated from call `rates`.

    Callers are sorted worst first. `services`: ids of all that suffer when it fails.
    """

    share: float | None
    basis: Literal["traces", "rates"] | None
    sentence: str
    entries: list[ImpactEntry]
    callers: list[ImpactCaller]
    services: list[str]


class TargetRow(TypedDict):
    """A workload."""

    cluster: str
    namespace: str
    kind: str
    name: str


class ContainerRow(TypedDict):
    """A container of a pod template."""

    name: str
    image: str
    requests: dict[str, str]
    limits: dict[str, str]


class ConditionRow(TypedDict):
    """A condition as Kubernetes gives it."""

    type: str
    status: str
    reason: str
    message: str
    since: datetime | None


class WorkloadAnswer(Read):
    """The live state of a workload."""

    target: TargetRow
    uid: str
    resource_version: str
    generation: int
    observed_generation: int
    paused: bool
    deleting: bool
    strategy: str
    replicas: dict[str, int]
    containers: list[ContainerRow]
    conditions: list[ConditionRow]
    autoscaler: dict[str, Any] | None
    revision: str | None
    created: datetime | None


class RevisionRow(TypedDict):
    """A revision: identity is its uid, never its number. `diff` is against the present template."""

    uid: str
    name: str
    number: int
    current: bool
    images: list[str]
    change_cause: str
    replicas: int
    ready: int
    created: datetime | None
    age_seconds: float | None
    diff: list[dict[str, str | None]]


class Revisions(Read):
    """Revisions, newest first."""

    items: list[RevisionRow]
    next_cursor: str | None


class PodRow(TypedDict):
    """A pod."""

    name: str
    uid: str
    node: str
    ip: str
    phase: str
    ready: bool
    reason: str
    message: str
    restarts: int
    last_exit: str
    images: list[str]
    started: datetime | None
    created: datetime | None
    deleting: bool


class Pods(Read):
    """Pods by name."""

    items: list[PodRow]
    next_cursor: str | None


class TokenBody(Struct, forbid_unknown_fields=True):
    """A token to make: `expires` is a Prometheus duration, at most 365d."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern="^[^\\x00-\\x1f]+$")]
    scopes: Annotated[list[str], Meta(min_length=1, max_length=20)]
    expires: str = "90d"


class TokenRow(TypedDict):
    """A token without its secret."""

    id: str
    name: str
    owner: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


class TokenMade(TokenRow):
    """A new token; `token` is shown only here, and null when an Idempotency-Key repeats the answer."""

    token: str | None


class Tokens(Read):
    """One's own tokens, or all of them for an admin."""

    items: list[TokenRow]
    next_cursor: str | None


class SourceRow(FreshnessRow):
    """The same with `lag_seconds`, the name of monitoring for its age."""

    lag_seconds: float | None


class StoreRow(TypedDict):
    """The database, and a number that grows with every change in it."""

    kind: Literal["sqlite", "postgresql"]
    revision: int


class BrokerRow(TypedDict):
    """What carries tasks."""

    kind: str


class QueueRow(TypedDict):
    """Tasks that no worker has taken yet; null = not known in this process."""

    name: str
    waiting: int | None


class StatusAnswer(Read):
    """This server: version, uptime, sources, store, broker, queues."""

    version: str
    build: str
    started: datetime
    uptime_seconds: float
    sources: list[SourceRow]
    store: StoreRow
    broker: BrokerRow
    queues: list[QueueRow]
    sockets: int
