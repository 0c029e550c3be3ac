"""One step of an action that was confirmed: send the write, follow the rollout, judge, settle the unknown.

Every step can be repeated and can be cut off at any point: the row says what was done before it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from app import clock
from app.act.record import claim, load, move
from app.act.world import StoreWorld, kind_of, world_of
from app.actions import guardrails, verify
from app.config import Config
from app.errors import ActionConflict, ActionError, ActionFailed, ActionRefused, OutcomeUnknown
from app.model.action import ActionState, Applied, Judgement, Plan, Progress
from app.model.fleet import HealthStatus
from app.store import actions
from app.store.actions import ActionRow
from app.store.engine import Store

ANSWER_DUE = timedelta(seconds=30)
"""After so long without an outcome, whoever sent the write has died."""

LANDING = timedelta(seconds=60)
"""A write without an answer may still take effect until then (an API server's own timeout)."""

ROLLOUT_LIFE = timedelta(minutes=10)
"""Our own deadline: progressDeadlineSeconds may be absent or huge."""

_S = ActionState
_SICK = (HealthStatus.FAILING.value, HealthStatus.DEGRADED.value)


def send(store: Store, config: Config, action_id: str) -> ActionRow:
    """Check everything again and write. Raises ActionConflict, ActionRefused or ActionFailed; nothing is repeated."""
    row = load(store, action_id)
    if row.state is not _S.EXECUTING or row.sent_at is not None or row.plan is None:
        return row
    try:
        with world_of(store, config, row.target, row.id) as world:
            plan = _checked(row, row.plan, world)
            sight = verify.look(world.topology(), row.target)
            plan = replace(plan, seen={**plan.seen, "health": sight.health.value if sight else None})
            before = Judgement(_S.VERIFYING, "", dict(sight.numbers) if sight else {})
            if claim(store, config, row, plan=plan, judgement=before):
                _write(store, config, load(store, action_id), plan, world)
    except OutcomeUnknown as error:
        move(
            store,
            config,
            load(store, action_id),
            [_S.EXECUTING],
            _S.UNKNOWN,
            what="outcome",
            message=str(error),
        )
    except ActionError as error:
        ended = _S.FAILED if isinstance(error, ActionFailed) else _S.REFUSED
        move(store, config, row, [_S.EXECUTING], ended, what="outcome", message=str(error))
        raise
    return load(store, action_id)


def follow(store: Store, config: Config, action_id: str) -> ActionRow:
    """One step of an action that is executing or verifying."""
    row = load(store, action_id)
    if row.state is _S.EXECUTING:
        if row.sent_at is None:
            return send(store, config, action_id)
        if clock.now() - row.sent_at > ANSWER_DUE:
            words = "the process that sent it ended before an answer came"
            move(store, config, row, [_S.EXECUTING], _S.UNKNOWN, what="outcome", message=words)
        return load(store, action_id)
    if row.state is _S.VERIFYING and row.plan is not None and row.applied is not None:
        _look(store, config, row, row.plan, row.applied)
    return load(store, action_id)


def reconcile(store: Store, config: Config, action_id: str) -> ActionRow:
    """Settle an unknown outcome by reading the object again: by uid, value and field manager."""
    row = load(store, action_id)
    if row.state is not _S.UNKNOWN or row.plan is None or row.sent_at is None:
        return row
    try:
        with world_of(store, config, row.target, row.id) as world:
            applied = kind_of(row.kind).landed(row.plan, row.target, world)
    except ActionFailed as error:
        if str(error).startswith("nothing was written"):
            return row  # the cluster still cannot be asked: it stays unknown
        move(store, config, row, [_S.UNKNOWN], _S.FAILED, what="reconcile", message=str(error))
        return load(store, action_id)
    if applied is not None:
        words = "the write took effect although no answer came"
        applied = replace(applied, at=row.sent_at)
        move(store, config, row, [_S.UNKNOWN], _S.VERIFYING, what="reconcile", message=words, applied=applied)
    elif clock.now() - row.sent_at > LANDING:
        words = "the write did not take effect: nothing was changed"
        move(store, config, row, [_S.UNKNOWN], _S.FAILED, what="reconcile", message=words)
    return load(store, action_id)


def _checked(row: ActionRow, plan: Plan, world: StoreWorld) -> Plan:
    """The plan made anew; it must be the one that was confirmed, and not long ago."""
    if row.expires_at is not None and row.expires_at <= clock.now():
        raise ActionConflict("the plan expired before it could be sent: plan it again")
    fresh = kind_of(row.kind).plan(row.target, row.params, world)
    if fresh.seen.get("uid", plan.seen.get("uid")) != plan.seen.get("uid"):
        raise ActionConflict("changed since you looked: it was replaced by another object: review again")
    if fresh.diff != plan.diff:
        now, seen = (", ".join(f"{line.path} {line.before}" for line in p.diff) for p in (fresh, plan))
        raise ActionConflict(f"changed since you looked: {now}, you saw {seen}: review again")
    if stopped := guardrails.refused(fresh.guardrails):
        raise ActionRefused("; ".join(check.message for check in stopped))
    if fresh.plan_hash != plan.plan_hash:
        raise ActionConflict(
            "changed since you looked: the cluster would make something else of it: review again"
        )
    return replace(plan, seen=fresh.seen, warnings=fresh.warnings)


def _write(store: Store, config: Config, row: ActionRow, plan: Plan, world: StoreWorld) -> None:
    applied = kind_of(row.kind).apply(plan, row.target, world)
    words = f"{plan.summary}: accepted by the cluster"
    move(store, config, row, [_S.EXECUTING], _S.VERIFYING, what="outcome", message=words, applied=applied)


def _look(store: Store, config: Config, row: ActionRow, plan: Plan, applied: Applied) -> None:
    action = kind_of(row.kind)
    with world_of(store, config, row.target, row.id) as world:
        try:
            live = world.objects.workload(row.target.namespace, row.target.kind, row.target.name)
        except ActionRefused as error:
            _end(store, config, row, _S.INCONCLUSIVE, f"inconclusive: it cannot be followed: {error}")
            return
        if (live.get("metadata") or {}).get("uid") != plan.seen.get("uid"):
            _end(store, config, row, _S.INCONCLUSIVE, "inconclusive: it was replaced by another object")
        elif undone := action.taken_back(plan, live):
            _end(store, config, row, _S.REVERTED, undone)
        elif row.rolled_out_at is None:
            _roll(store, config, row, action.progress(plan, applied, row.target, live, world), applied)
        else:
            _judge(store, config, row, plan, row.rolled_out_at, world)


def _roll(store: Store, config: Config, row: ActionRow, seen: Progress, applied: Applied) -> None:
    now = clock.now()
    if seen.failed:
        _end(store, config, row, _S.FAILED, seen.message, progress=seen)
    elif seen.done:
        words = f"rolled out, {seen.message}; waiting for the window to clear"
        move(
            store,
            config,
            row,
            [_S.VERIFYING],
            _S.VERIFYING,
            what="rolled-out",
            message=words,
            progress=seen,
            rolled_out_at=now,
        )
    elif now - applied.at > ROLLOUT_LIFE:
        _end(store, config, row, _S.FAILED, f"not rolled out after 10 minutes, {seen.message}", progress=seen)
    else:
        _note(store, row, seen.message, progress=seen)


def _judge(
    store: Store,
    config: Config,
    row: ActionRow,
    plan: Plan,
    rolled_out: datetime,
    world: StoreWorld,
) -> None:
    before = row.judgement.before if row.judgement else {}
    sick = plan.seen.get("health") in _SICK
    sight = verify.look(world.topology(), row.target)
    verdict = verify.judge(before, sick, sight, rolled_out=rolled_out, now=clock.now())
    if verdict.state is _S.VERIFYING:
        _note(store, row, verdict.message, judgement=verdict)
    else:
        _end(store, config, row, verdict.state, verdict.message, judgement=verdict)


def _end(
    store: Store, config: Config, row: ActionRow, state: ActionState, message: str, **columns: Any
) -> None:
    if "judgement" not in columns:
        before = row.judgement.before if row.judgement else {}
        columns["judgement"] = Judgement(state, message, before)
    move(store, config, row, [_S.VERIFYING], state, what="verdict", message=message, **columns)


def _note(store: Store, row: ActionRow, message: str, **columns: Any) -> None:
    """Something a watcher sees and that is no transition: no audit row, and no news when nothing changed."""
    same = all(getattr(row, name) == value for name, value in columns.items())
    if message != row.message or not same:
        with store.begin() as session:
            actions.advance(session, row.id, [_S.VERIFYING], _S.VERIFYING, message=message, **columns)
