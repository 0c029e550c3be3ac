"""Whole traces, for reading one: spans with their attributes, in plain values.

Counting never uses these (see `collectors.span_columns`); they are made for the few traces that are kept or
fetched to be looked at. Ids are lower-case hex of full length, whatever a backend sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from app.model.trace import SpanKind

Value = str | int | float | bool | tuple[str, ...]
Attributes = dict[str, Value]


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened inside a span, `at` nanoseconds since the epoch."""

    name: str
    at: int
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanLink:
    """Another span that this one names, often in another trace."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class Span:
    """One span. `start` is in nanoseconds since the epoch, `duration` in nanoseconds, never negative.

    `parent_id` "" = a root. `service` and `namespace` come from the resource; "" = not told.
    """

    span_id: str
    parent_id: str
    name: str
    kind: SpanKind
    service: str
    start: int
    duration: int
    namespace: str = ""
    status: Literal["unset", "ok", "error"] = "unset"
    status_message: str = ""
    attributes: Attributes = field(default_factory=dict)
    resource: Attributes = field(default_factory=dict)
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()

    @property
    def end(self) -> int:
        """When it ended, in nanoseconds since the epoch."""
        return self.start + self.duration


@dataclass(frozen=True, slots=True)
class Trace:
    """The spans of one trace that are known, in any order; parents may be missing. `cut` = spans left out."""

    cluster: str
    trace_id: str
    spans: tuple[Span, ...]
    cut: int = 0
