"""The shapes of actions and of the audit log: bodies and answers. What they share with others is in `shapes`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypedDict

from msgspec import Meta, Struct

from app.api.shapes import Read, TargetRow


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
    reason: Annotated[str, Meta(max_length=1000)] = ""
    incident: Annotated[str, Meta(max_length=100)] | None = None


class ExecuteBody(Struct, forbid_unknown_fields=True):
    """The plan that was read and is meant; `confirmation` is the typed name where the plan asks for one."""

    plan_hash: Annotated[str, Meta(min_length=1, max_length=100)]
    confirmation: Annotated[str, Meta(max_length=253)] = ""


class WordBody(Struct, forbid_unknown_fields=True):
    """A sentence to go with the step."""

    reason: Annotated[str, Meta(max_length=1000)] = ""


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
