"""Every transition of an action: the conditional change of its row and its audit row, in one transaction."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from app import clock
from app.config import Config
from app.errors import NotFound
from app.model.action import ActionState
from app.store import actions, audit
from app.store.actions import ActionRow
from app.store.engine import Store

SYSTEM = "quarterdeck"
"""Who moves an action when no person does."""


def audit_key(config: Config) -> bytes:
    """The key that seals audit rows."""
    return config.secret_key.reveal().encode()


def load(store: Store, action_id: str) -> ActionRow:
    """The row. Raises NotFound."""
    with store.reading() as session:
        row = actions.get(session, action_id)
    if row is None:
        raise NotFound("there is no such action")
    return row


def move(
    store: Store,
    config: Config,
    row: ActionRow,
    from_states: Collection[ActionState],
    to_state: ActionState,
    *,
    who: str = SYSTEM,
    what: str,
    message: str = "",
    **columns: Any,
) -> bool:
    """Advance if the row still is where it is thought to be, and write it down; False = somebody was first."""
    if to_state.final:
        columns.setdefault("finished_at", clock.now())
    with store.begin() as session:
        won = actions.advance(session, row.id, from_states, to_state, message=message, **columns)
        if won:
            audit.append(
                session,
                audit_key(config),
                who=who,
                what=f"{row.kind}.{what}",
                target=str(row.target),
                outcome=to_state.value,
                detail=_detail(row, message, columns),
            )
    return won


def claim(store: Store, config: Config, row: ActionRow, **columns: Any) -> bool:
    """The intent: this process, and no other, sends the write now. Written before the call."""
    with store.begin() as session:
        won = actions.claim(session, row.id, sent_at=clock.now(), **columns)
        if won:
            detail = _detail(row, "the write goes out now", {})
            audit.append(
                session,
                audit_key(config),
                who=row.executor or SYSTEM,
                what=f"{row.kind}.send",
                target=str(row.target),
                outcome="intent",
                detail=detail,
            )
    return won


def _detail(row: ActionRow, message: str, columns: dict[str, Any]) -> dict[str, Any]:
    plan = columns.get("plan") or row.plan
    detail: dict[str, Any] = {
        "action": row.id,
        "params": row.params,
        "reason": row.reason,
        "incident": row.incident,
        "proposer": row.proposer,
        "approver": columns.get("approver", row.approver),
        "plan_hash": columns.get("plan_hash", row.plan_hash),
        "message": message,
    }
    if plan is not None:
        detail["diff"] = [[line.path, line.before, line.after] for line in plan.diff]
        detail["uid"] = plan.seen.get("uid")
    judgement = columns.get("judgement")
    if judgement is not None:
        detail |= {"before": judgement.before, "after": judgement.after}
    return {key: value for key, value in detail.items() if value not in (None, "")}
