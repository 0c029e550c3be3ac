"""An action from plan to verdict: what would change, what stands against it, what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class ActionState(StrEnum):
    """States of an action, in the order of its life; the last block is final."""

    PLANNING = "planning"
    PLANNED = "planned"
    AWAITING_APPROVAL = "awaiting_approval"
    APPROVED = "approved"
    EXECUTING = "executing"
    VERIFYING = "verifying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    REVERTED = "reverted"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNKNOWN = "unknown"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen by itself (unknown is still reconciled)."""
        return self in _FINAL


_FINAL = frozenset(
    {
        ActionState.SUCCEEDED,
        ActionState.FAILED,
        ActionState.INCONCLUSIVE,
        ActionState.REVERTED,
        ActionState.REFUSED,
        ActionState.CANCELLED,
        ActionState.EXPIRED,
    }
)


_VIA = " via "  # names of people hold no spaces


def token_name(owner: str, token: str) -> str:
    """How a program is called where it acts: by its owner and its token."""
    return f"{owner}{_VIA}{token}"


def person_of(name: str) -> str:
    """The person behind a name, be it the person or a token of theirs: four eyes need two persons."""
    return name.partition(_VIA)[0]


@dataclass(frozen=True, slots=True)
class Target:
    """The workload an action is about."""

    cluster: str
    namespace: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.cluster}/{self.namespace}/{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One changed path of the object: value now, value after (as text; secrets never get here)."""

    path: str
    before: str | None
    after: str | None


class Verdict(StrEnum):
    """What a check or guardrail says."""

    PASS = "pass"  # noqa: S105 - not a password
    WARN = "warn"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Check:
    """One preflight check with its result, also when it passed: rule, verdict, sentence."""

    rule: str
    verdict: Verdict
    message: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """Whether a written field will stay, and who would take it back."""

    field: str
    sticks: bool | None
    by: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action would do, complete enough to be confirmed by its hash.

    `seen` holds what execution re-checks (uid, resourceVersion, replicas …); `write` the request that will be
    sent; `confirmation` is none, name (type the workload's name) or second_person.
    """

    summary: str
    diff: tuple[DiffLine, ...]
    warnings: tuple[str, ...] = ()
    guardrails: tuple[Check, ...] = ()
    forecast: tuple[Forecast, ...] = ()
    capacity: dict[str, Any] = field(default_factory=dict)
    disruption: dict[str, Any] = field(default_factory=dict)
    needs_approval: bool = False
    confirmation: str = "none"
    seen: dict[str, Any] = field(default_factory=dict)
    write: dict[str, Any] = field(default_factory=dict)
    plan_hash: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What the cluster answered to the write: generation to wait for, and when it was sent."""

    at: datetime
    generation: int
    resource_version: str
    answer: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a rollout stands: done, failed (with its reason) or a sentence of what it waits for."""

    done: bool
    failed: bool
    message: str
    ready: int
    desired: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on an action: the state it ends in, a sentence with numbers, and the numbers."""

    state: ActionState
    message: str
    before: dict[str, float | None] = field(default_factory=dict)
    after: dict[str, float | None] = field(default_factory=dict)
