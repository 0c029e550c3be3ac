"""An action as a row of answers, and waiting for the plan that another process makes."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from app import clock
from app.model.action import ActionState, Judgement, Plan, Progress
from app.store import actions
from app.store.actions import ActionRow
from app.web.services import services

PLAN_WAIT = 10.0  # seconds a request waits for the act queue
_LOOK_EVERY = 0.25

# What execution re-checks and sends is for the executor; readers get what they decide on.
_PLAN_FIELDS = (
    "summary",
    "diff",
    "warnings",
    "forecast",
    "guardrails",
    "capacity",
    "disruption",
    "needs_approval",
    "confirmation",
)
_FIELDS = ("id", "kind", "params", "reason", "incident", "proposer", "approver", "executor", "message")
_TIMES = ("created_at", "changed_at", "expires_at", "finished_at")


def action_row(row: ActionRow) -> dict[str, Any]:
    """An action with its plan, progress and verdict."""
    return {
        **{name: getattr(row, name) for name in (*_FIELDS, *_TIMES)},
        "target": dataclasses.asdict(row.target),
        "state": str(row.state),
        "plan": _plan(row.plan),
        "plan_hash": row.plan_hash,
        "progress": _progress(row.progress),
        "verdict": _verdict(row.judgement),
    }


def wait_for_plan(row: ActionRow, *, seconds: float = PLAN_WAIT) -> ActionRow:
    """The row once it has left `planning`, or as it is when the time is over."""
    until = clock.monotonic() + seconds
    while row.state is ActionState.PLANNING and clock.monotonic() < until:
        time.sleep(_LOOK_EVERY)
        with services().store.reading() as session:
            row = actions.get(session, row.id) or row
    return row


def _plan(plan: Plan | None) -> dict[str, Any] | None:
    if plan is None:
        return None
    known = dataclasses.asdict(plan)
    return {name: known[name] for name in _PLAN_FIELDS}


def _progress(progress: Progress | None) -> dict[str, Any] | None:
    return None if progress is None else dataclasses.asdict(progress)


def _verdict(judgement: Judgement | None) -> dict[str, Any] | None:
    return None if judgement is None else dataclasses.asdict(judgement)
