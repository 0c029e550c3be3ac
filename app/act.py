"""Actions from proposal to verdict: who may, in which order, and what is written down.

Planning, permission checks and writes happen where a writing account is configured (`serve`, the worker of the
act queue); elsewhere the row waits and `follow_all` of that process takes it on. Intent is written before the
call and outcome after it, so that a crash leaves a visible `unknown`, which is reconciled and never repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from app import clock
from app.act_follow import follow, reconcile, send
from app.act_record import audit_key, load, move
from app.act_world import Caller, cluster_of, kind_of, world_of, writes_here
from app.actions import guardrails
from app.config import Config
from app.errors import (
    ActionConflict,
    ActionError,
    ActionRefused,
    BadInput,
    NotAllowed,
    QuarterdeckError,
)
from app.model.action import ActionState, Plan, Target, person_of
from app.store import actions, audit
from app.store.actions import ActionRow
from app.store.engine import Store

__all__ = [
    "approve",
    "cancel",
    "execute",
    "follow",
    "follow_all",
    "plan",
    "propose",
    "reconcile",
    "reject",
]

PLAN_LIFE = timedelta(minutes=10)
APPROVAL_LIFE = timedelta(minutes=15)
LONGEST_REASON = 1_000

_S = ActionState
_OPEN = (_S.PLANNED, _S.AWAITING_APPROVAL, _S.APPROVED)

log = logging.getLogger("quarterdeck.act")


def propose(
    store: Store,
    config: Config,
    principal: Caller,
    kind: str,
    target: Target,
    params: Mapping[str, Any],
    reason: str,
    *,
    incident: str | None = None,
    idempotency_key: str | None = None,
) -> ActionRow:
    """A new action, planned if this process can plan it, otherwise in state planning.

    Nothing is written to the cluster but a dry run. Raises BadInput and NotAllowed; what the cluster or a
    guardrail forbids is no error but an action in state refused, with the reason.
    """
    action, wanted = kind_of(kind), dict(params)
    action.check(target, wanted)
    cluster_of(config, target.cluster)
    if not reason.strip():
        raise BadInput("say why: the reason stands in the audit log", field="reason")
    if not principal.may_act(kind, target.namespace):
        raise NotAllowed(f"{principal.name} may not {kind} in {target.namespace}")
    with store.begin() as session:
        row, made = actions.create(
            session,
            kind=kind,
            target=target,
            params=wanted,
            reason=reason.strip()[:LONGEST_REASON],
            proposer=principal.name,
            incident=incident,
            idempotency_key=idempotency_key,
        )
        if made:
            detail = {"action": row.id, "params": wanted, "reason": row.reason, "incident": incident}
            audit.append(
                session,
                audit_key(config),
                who=principal.name,
                what=f"{kind}.propose",
                target=str(target),
                outcome=row.state.value,
                detail=detail,
            )
    return plan(store, config, row.id) if made and writes_here(config, target.cluster) else row


def plan(store: Store, config: Config, action_id: str) -> ActionRow:
    """Plan an action that waits for it; a second call changes nothing."""
    row = load(store, action_id)
    if row.state is not _S.PLANNING:
        return row
    try:
        with world_of(store, config, row.target, row.id) as world:
            found = kind_of(row.kind).plan(row.target, row.params, world)
    except ActionError as error:
        move(store, config, row, [_S.PLANNING], _S.REFUSED, what="plan", message=str(error))
        return load(store, action_id)
    if stopped := guardrails.refused(found.guardrails):
        words = "; ".join(check.message for check in stopped)
        move(store, config, row, [_S.PLANNING], _S.REFUSED, what="plan", message=words, plan=found)
        return load(store, action_id)
    until = clock.now() + PLAN_LIFE
    columns: dict[str, Any] = {
        "plan": replace(found, expires_at=until),
        "plan_hash": found.plan_hash,
        "expires_at": until,
    }
    move(store, config, row, [_S.PLANNING], _S.PLANNED, what="plan", message=found.summary, **columns)
    return load(store, action_id)


def execute(
    store: Store,
    config: Config,
    principal: Caller,
    action_id: str,
    plan_hash: str,
    *,
    confirm: str | None = None,
) -> ActionRow:
    """Apply exactly the plan of this hash; what needs a second person goes to awaiting_approval first.

    `confirm` is the workload's name where the plan asks for it. Raises NotFound, NotAllowed, ActionRefused,
    and ActionConflict with what changed since.
    """
    row = load(store, action_id)
    found = _ready(row, principal, plan_hash)
    if found.confirmation == "name" and (confirm or "").strip() != row.target.name:
        raise ActionRefused(f"type the name of the workload ({row.target.name}) to confirm")
    if found.needs_approval and row.state is _S.PLANNED:
        until = clock.now() + APPROVAL_LIFE
        columns: dict[str, Any] = {"expires_at": until, "plan": replace(found, expires_at=until)}
        words = "waits for a second person"
        move(
            store,
            config,
            row,
            [_S.PLANNED],
            _S.AWAITING_APPROVAL,
            who=principal.name,
            what="ask",
            message=words,
            **columns,
        )
        return load(store, action_id)
    started = move(
        store,
        config,
        row,
        [_S.APPROVED] if found.needs_approval else [_S.PLANNED],
        _S.EXECUTING,
        who=principal.name,
        what="execute",
        message="confirmed",
        executor=principal.name,
    )
    if not started:
        raise ActionConflict(f"it is {load(store, action_id).state.value} already")
    return (
        send(store, config, action_id) if writes_here(config, row.target.cluster) else load(store, action_id)
    )


def approve(store: Store, config: Config, principal: Caller, action_id: str) -> ActionRow:
    """A second person agrees. Raises NotAllowed for the proposer and for who may not approve."""
    row = _asked(store, principal, action_id)
    until = clock.now() + APPROVAL_LIFE
    if not move(
        store,
        config,
        row,
        [_S.AWAITING_APPROVAL],
        _S.APPROVED,
        who=principal.name,
        what="approve",
        message="approved",
        approver=principal.name,
        expires_at=until,
    ):
        raise ActionConflict(f"it is {load(store, action_id).state.value} already")
    return load(store, action_id)


def reject(store: Store, config: Config, principal: Caller, action_id: str, reason: str = "") -> ActionRow:
    """A second person does not agree; the action ends refused."""
    row = _asked(store, principal, action_id)
    words = f"rejected by {principal.name}: {reason.strip()[:LONGEST_REASON]}".rstrip(": ")
    if not move(
        store,
        config,
        row,
        [_S.AWAITING_APPROVAL],
        _S.REFUSED,
        who=principal.name,
        what="reject",
        message=words,
        approver=principal.name,
    ):
        raise ActionConflict(f"it is {load(store, action_id).state.value} already")
    return load(store, action_id)


def cancel(store: Store, config: Config, principal: Caller, action_id: str) -> ActionRow:
    """Withdraw what was not sent yet. Raises ActionConflict once it was."""
    row = load(store, action_id)
    if not principal.may_act(row.kind, row.target.namespace):
        raise NotAllowed(f"{principal.name} may not cancel this")
    if not move(
        store,
        config,
        row,
        [_S.PLANNING, *_OPEN],
        _S.CANCELLED,
        who=principal.name,
        what="cancel",
        message=f"cancelled by {principal.name}",
    ):
        raise ActionConflict(f"it is {load(store, action_id).state.value}: it cannot be cancelled any more")
    return load(store, action_id)


def follow_all(store: Store, config: Config) -> None:
    """Take every running action one step further; called every few seconds in the process of the act queue."""
    waiting = (_S.PLANNING, *_OPEN, _S.EXECUTING, _S.VERIFYING, _S.UNKNOWN)
    with store.reading() as session:
        rows = actions.in_state(session, *waiting)
    for row in rows:
        try:
            _step(store, config, row)
        except QuarterdeckError as error:
            log.warning("action %s could not be taken further: %s", row.id, error)


def _step(store: Store, config: Config, row: ActionRow) -> None:
    if row.state is _S.PLANNING:
        plan(store, config, row.id)
    elif row.state in _OPEN:
        if row.expires_at is not None and row.expires_at <= clock.now():
            move(
                store,
                config,
                row,
                [row.state],
                _S.EXPIRED,
                what="expire",
                message="nobody confirmed it in time",
            )
    elif row.state is _S.UNKNOWN:
        reconcile(store, config, row.id)
    else:
        follow(store, config, row.id)


def _ready(row: ActionRow, principal: Caller, plan_hash: str) -> Plan:
    """The plan, if it may be executed as it is by this caller."""
    if not principal.may_act(row.kind, row.target.namespace):
        raise NotAllowed(f"{principal.name} may not {row.kind} in {row.target.namespace}")
    if row.state not in (_S.PLANNED, _S.APPROVED) or row.plan is None:
        words = row.message or "plan it again"
        raise ActionConflict(f"it is {row.state.value}: {words}")
    if row.expires_at is not None and row.expires_at <= clock.now():
        raise ActionConflict("the plan has expired: plan it again")
    if plan_hash != row.plan_hash:
        raise ActionConflict("this is not the plan that was shown: review again")
    return row.plan


def _asked(store: Store, principal: Caller, action_id: str) -> ActionRow:
    """The row, if this caller may decide on it."""
    row = load(store, action_id)
    if not principal.allows("approve"):
        raise NotAllowed(f"{principal.name} may not approve")
    if principal.name == person_of(row.proposer):
        raise NotAllowed("who proposed it cannot approve it: ask a second person")
    if row.state is not _S.AWAITING_APPROVAL:
        raise ActionConflict(f"it is {row.state.value}: nobody waits for an approval")
    return row
