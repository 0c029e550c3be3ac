"""Example traces: whole traces kept because one of their calls tells something about an edge."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.model.fleet import Identity
from app.model.span import Trace


class Why(StrEnum):
    """Why a call was kept, the most telling first."""

    FAILED = "failed"
    SLOW = "slow"
    TYPICAL = "typical"


@dataclass(frozen=True, slots=True)
class ExampleCall:
    """One call of a kept trace, from `caller` to `callee` under the names the spans use.

    `span_id` is the span that stands for it, the caller's where there is one; `duration` is that span's, in seconds.
    """

    span_id: str
    caller: Identity
    callee: Identity
    why: Why
    duration: float
    failed: bool


@dataclass(frozen=True, slots=True)
class Example:
    """A kept trace and the calls for whose sake it is kept (at least one)."""

    trace: Trace
    calls: tuple[ExampleCall, ...]
