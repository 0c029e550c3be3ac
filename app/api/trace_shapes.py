"""The shapes of answers about traces. Moments are RFC 3339, lengths and offsets seconds."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypedDict

from app.api.shapes import Read

WhyKept = Literal["failed", "slow", "typical"]
SpanKindName = Literal["unspecified", "internal", "server", "client", "producer", "consumer"]
SpanStatus = Literal["unset", "ok", "error"]
AttributeValue = str | int | float | bool | list[str]


class KeptCallRow(TypedDict):
    """A call that a trace was kept for; `caller` and `callee` are ids of nodes."""

    span_id: str
    caller: str
    callee: str
    why: WhyKept
    duration: float
    failed: bool


class KeptTraceRow(TypedDict):
    """An example trace. `spans` counts also those that were cut."""

    cluster: str
    trace_id: str
    start: datetime
    duration: float
    failed: bool
    spans: int
    services: int
    root: str
    calls: list[KeptCallRow]


class KeptTraces(Read):
    """Example traces, the newest first."""

    items: list[KeptTraceRow]
    next_cursor: str | None


class SpanEventRow(TypedDict):
    """Something that happened inside a span, `offset` seconds after the trace began."""

    name: str
    offset: float
    attributes: dict[str, AttributeValue]


class SpanLinkRow(TypedDict):
    """Another span that this one names."""

    trace_id: str
    span_id: str


class SpanRow(TypedDict):
    """A span in reading order. `self_time` is without the calls it waited for; `critical` is its own part of the
    critical path, null = not on it; `clock_shift` was added to `offset` because its clock differs."""

    span_id: str
    parent_id: str | None
    depth: int
    name: str
    kind: SpanKindName
    service: str
    namespace: str | None
    offset: float
    duration: float
    self_time: float
    critical: float | None
    clock_shift: float
    status: SpanStatus
    status_message: str
    attributes: dict[str, AttributeValue]
    resource: dict[str, AttributeValue]
    events: list[SpanEventRow]
    links: list[SpanLinkRow]


class TraceAnswer(Read):
    """One trace. Of its spans `hidden` are not listed (folded or too many) and `cut` were not kept at all."""

    cluster: str
    trace_id: str
    start: datetime
    duration: float
    answer: str
    failed_span: str | None
    link: str | None
    kept_for: list[KeptCallRow]
    spans: list[SpanRow]
    hidden: int
    cut: int
