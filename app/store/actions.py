"""Rows of actions. State changes only through `advance`, a conditional UPDATE that says whether it won."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, and_, or_, select, update
from sqlalchemy import exc as sa_exc
from sqlalchemy.orm import Session

from app.clock import now
from app.errors import ActionConflict, BadInput
from app.model.action import ActionState, Applied, Judgement, Plan, Progress, Target
from app.store import topics
from app.store.tables import actions
from app.store.write import insert_new, run, storable

_DOCUMENTS = {"plan": Plan, "applied": Applied, "judgement": Judgement, "progress": Progress}


@dataclass(frozen=True, slots=True)
class ActionRow:
    """An action with everything known about it. `sent_at` is when the write went out (intent)."""

    id: str
    kind: str
    target: Target
    params: dict[str, Any]
    reason: str
    incident: str | None
    proposer: str
    state: ActionState
    created_at: datetime
    changed_at: datetime
    message: str = ""
    approver: str | None = None
    executor: str | None = None
    plan: Plan | None = None
    plan_hash: str | None = None
    applied: Applied | None = None
    judgement: Judgement | None = None
    progress: Progress | None = None
    idempotency_key: str | None = None
    expires_at: datetime | None = None
    sent_at: datetime | None = None
    rolled_out_at: datetime | None = None
    finished_at: datetime | None = None


def create(
    session: Session,
    *,
    kind: str,
    target: Target,
    params: Mapping[str, Any],
    reason: str,
    proposer: str,
    incident: str | None = None,
    idempotency_key: str | None = None,
) -> tuple[ActionRow, bool]:
    """A new action in state planning: (row, True), or (the earlier one of the same key, False).

    Raises BadInput when the proposer used the key for something else before.
    """
    moment = now()
    row = {
        "id": _new_id(moment),
        "kind": kind,
        "cluster": target.cluster,
        "namespace": target.namespace,
        "target_kind": target.kind,
        "name": target.name,
        "params": _json(dict(sorted(params.items()))),
        "reason": storable(reason),
        "incident": None if incident is None else storable(incident),
        "proposer": proposer,
        "state": ActionState.PLANNING.value,
        "message": "",
        "idempotency_key": idempotency_key,
        "created_at": moment,
        "changed_at": moment,
    }
    if not insert_new(session, actions, row):
        return _same_key(session, row), False
    topics.bump(session, "actions", f"action:{row['id']}")
    return _row(session.execute(select(actions).where(actions.c.id == row["id"])).one()), True


def get(session: Session, action_id: str) -> ActionRow | None:
    """One action."""
    row = session.execute(select(actions).where(actions.c.id == action_id)).one_or_none()
    return None if row is None else _row(row)


def advance(
    session: Session,
    action_id: str,
    from_states: Collection[ActionState],
    to_state: ActionState,
    **columns: Any,
) -> bool:
    """Change the state if it is still one of `from_states`; False = somebody else was first.

    Columns are those of ActionRow; plan, applied, judgement and progress are given as their dataclasses.
    Raises ActionConflict when another action is in flight on the same target.
    """
    states = [state.value for state in from_states]
    values = {name: _stored(name, value) for name, value in columns.items()}
    step = (
        update(actions)
        .where((actions.c.id == action_id) & actions.c.state.in_(states))
        .values(state=to_state.value, changed_at=now(), **values)
    )
    try:
        with session.begin_nested():
            won = run(session, step) == 1
    except sa_exc.IntegrityError as error:
        raise ActionConflict(
            "another action on this workload is in flight: wait for it or cancel it"
        ) from error
    if won:
        topics.bump(session, "actions", f"action:{action_id}")
    return won


def claim(session: Session, action_id: str, *, sent_at: datetime, **columns: Any) -> bool:
    """Take the sending of a confirmed action on, once: False when it was taken before."""
    values = {name: _stored(name, value) for name, value in columns.items()}
    waiting = (
        (actions.c.id == action_id)
        & (actions.c.state == ActionState.EXECUTING.value)
        & actions.c.sent_at.is_(None)
    )
    won = (
        run(session, update(actions).where(waiting).values(sent_at=sent_at, changed_at=now(), **values)) == 1
    )
    if won:
        topics.bump(session, "actions", f"action:{action_id}")
    return won


def page(
    session: Session,
    *,
    limit: int = 100,
    before: tuple[datetime, str] | None = None,
    states: Collection[ActionState] | None = None,
    target: Target | None = None,
) -> list[ActionRow]:
    """Actions newest first; `before` = (created_at, id) of the last one of the page before."""
    query = select(actions).order_by(actions.c.created_at.desc(), actions.c.id.desc()).limit(limit)
    if before is not None:
        moment, last = before
        older = and_(actions.c.created_at == moment, actions.c.id < last)
        query = query.where(or_(actions.c.created_at < moment, older))
    if states is not None:
        query = query.where(actions.c.state.in_([state.value for state in states]))
    if target is not None:
        query = query.where(_on(target))
    return [_row(row) for row in session.execute(query)]


def in_state(session: Session, *states: ActionState) -> list[ActionRow]:
    """Every action in one of these states, oldest first."""
    wanted = actions.c.state.in_([state.value for state in states])
    return [_row(row) for row in session.execute(select(actions).where(wanted).order_by(actions.c.id))]


def in_flight(session: Session, target: Target) -> ActionRow | None:
    """The action that is being executed, verified or reconciled on this workload."""
    states = [ActionState.EXECUTING.value, ActionState.VERIFYING.value, ActionState.UNKNOWN.value]
    row = session.execute(select(actions).where(_on(target) & actions.c.state.in_(states))).one_or_none()
    return None if row is None else _row(row)


def _on(target: Target) -> Any:
    return (
        (actions.c.cluster == target.cluster)
        & (actions.c.namespace == target.namespace)
        & (actions.c.target_kind == target.kind)
        & (actions.c.name == target.name)
    )


def _same_key(session: Session, wanted: Mapping[str, Any]) -> ActionRow:
    mine = [actions.c[name] == wanted[name] for name in ("proposer", "idempotency_key")]
    found = session.execute(select(actions).where(*mine)).one()
    same = ("kind", "cluster", "namespace", "target_kind", "name", "params")
    if any(getattr(found, name) != wanted[name] for name in same):
        raise BadInput("this Idempotency-Key was used for another action", field="Idempotency-Key")
    return _row(found)


def _new_id(moment: datetime) -> str:
    """Sortable by time: milliseconds, then 40 random bits."""
    return f"{int(moment.timestamp() * 1000):011x}{secrets.token_hex(5)}"


def _stored(name: str, value: Any) -> Any:
    if name in _DOCUMENTS and value is not None:
        return _json(value)
    return storable(value) if isinstance(value, str) else value


def _json(value: Any) -> str:
    return storable(msgspec.json.encode(value).decode())


def _document(name: str, text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text, type=_DOCUMENTS[name])


def _row(row: Row[Any]) -> ActionRow:
    return ActionRow(
        id=row.id,
        kind=row.kind,
        target=Target(row.cluster, row.namespace, row.target_kind, row.name),
        params=msgspec.json.decode(row.params),
        reason=row.reason,
        incident=row.incident,
        proposer=row.proposer,
        state=ActionState(row.state),
        created_at=row.created_at,
        changed_at=row.changed_at,
        message=row.message,
        approver=row.approver,
        executor=row.executor,
        idempotency_key=row.idempotency_key,
        plan_hash=row.plan_hash,
        expires_at=row.expires_at,
        sent_at=row.sent_at,
        rolled_out_at=row.rolled_out_at,
        finished_at=row.finished_at,
        **{name: _document(name, getattr(row, name)) for name in _DOCUMENTS},
    )
