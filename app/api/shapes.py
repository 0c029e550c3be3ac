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
    """Quantiles in seconds."""

    p50: float | None
    p95: float | None
    p99: float | None


class ReplicasRow(TypedDict):
    """Pods wanted and ready."""

    desired: int | None
    ready: int | None


class EvidenceRow(TypedDict):
    """Who says so."""

    source: str
    as_of: datetime
    rps: float | None
    sampling_ratio: float | None


class WorkloadName(TypedDict):
    """Which Kubernetes object runs it."""

    kind: str
    name: str


class ServiceRow(TypedDict):
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
    latency_seconds: LatencyRow
    replicas: ReplicasRow
    versions: list[str]
    evidence: list[EvidenceRow]
    slos: list[str]


class CallRow(TypedDict):
    """Calls between the node in question and another one."""

    id: str
    node: str
    name: str
    kind: str
    protocol: str
    health: HealthRow
    rps: float | None
    error_ratio: float | None
    latency_seconds: LatencyRow
    evidence: list[EvidenceRow]


class ServiceDetail(ServiceRow, Read):
    """A node with who calls it and whom it calls."""

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


class TopologyNode(TypedDict):
    """A node of the topology."""

    id: str
    name: str
    kind: str
    cluster: str
    namespace: str | None
    owner: str | None
    health: HealthRow
    rps: float | None
    error_ratio: float | None
    latency_seconds: LatencyRow
    replicas: ReplicasRow
    versions: list[str]
    x: float | None
    y: float | None


class TopologyEdge(TypedDict):
    """An edge of the topology."""

    id: str
    source: str
    target: str
    kind: str
    protocol: str
    rps: float | None
    error_ratio: float | None
    latency_seconds: LatencyRow
    health: HealthRow
    evidence: list[EvidenceRow]


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
    since: NotRequired[str]
    gone: NotRequired[Gone]


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


class TargetBody(Struct, forbid_unknown_fields=True):
    """The workload to act on."""

    cluster: Annotated[str, Meta(min_length=1, max_length=63)]
    namespace: Annotated[str, Meta(min_length=1, max_length=63)]
    kind: Annotated[str, Meta(min_length=1, max_length=63)]
    name: Annotated[str, Meta(min_length=1, max_length=253)]


class ActionBody(Struct, forbid_unknown_fields=True):
    """What to plan. `reason` ends in the audit log."""

    kind: Annotated[str, Meta(min_length=1, max_length=40)]
    target: TargetBody
    params: dict[str, Any] = {}
    reason: Annotated[str, Meta(max_length=2000)] = ""
    incident: Annotated[str, Meta(max_length=100)] | None = None


class ExecuteBody(Struct, forbid_unknown_fields=True):
    """The plan that was read and is meant; `confirmation` is the typed name where the plan asks for one."""

    plan_hash: Annotated[str, Meta(min_length=1, max_length=100)]
    confirmation: Annotated[str, Meta(max_length=253)] = ""


class WordBody(Struct, forbid_unknown_fields=True):
    """A sentence to go with the step."""

    reason: Annotated[str, Meta(max_length=2000)] = ""


class ActionAnswer(TypedDict):
    """An action from plan to verdict."""

    id: str
    kind: str
    target: TargetRow
    params: dict[str, Any]
    reason: str
    incident: str | None
    proposer: str
    approver: str | None
    executor: str | None
    state: str
    message: str
    plan: dict[str, Any] | None
    plan_hash: str | None
    progress: dict[str, Any] | None
    verdict: dict[str, Any] | None
    created_at: datetime
    changed_at: datetime
    expires_at: datetime | None
    finished_at: datetime | None


class ActionRead(ActionAnswer, Read):
    """One action, read."""


class Actions(Read):
    """A page of actions, newest first."""

    items: list[ActionAnswer]
    next_cursor: str | None


class AuditEntry(TypedDict):
    """A row of the audit chain."""

    seq: int
    at: datetime
    who: str
    what: str
    target: str
    outcome: str
    detail: dict[str, Any]
    prev_hash: str
    hash: str


class Audit(Read):
    """A page of the audit log, newest first."""

    items: list[AuditEntry]
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


class StatusAnswer(Read):
    """This server: version, uptime, sources, store, broker."""

    version: str
    build: str
    started: datetime
    uptime_seconds: float
    sources: list[dict[str, Any]]
    store: dict[str, Any]
    broker: dict[str, Any]
    queues: list[dict[str, Any]]
    sockets: int
