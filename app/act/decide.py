"""What people decide about an action: propose, execute, approve, reject, cancel; and the plan they decide on."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from app import clock
from app.act.record import audit_key, load, move
from app.act.step import send
from app.act.world import Caller, cluster_of, kind_of, world_of, writes_here
from app.actions import guardrails
from app.config import Config
from app.errors import (
    ActionConflict,
    ActionError,
    ActionRefused,
    BadInput,
    NotAllowed,
)
from app.model.action import ActionState, Plan, Target, person_of
from app.store import actions, audit
from app.store.actions import ActionRow
from app.store.engine import Store

PLAN_LIFE = timedelta(minutes=10)
APPROVAL_LIFE = timedelta(minutes=15)
LONGEST_REASON = 1_000
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")

_S = ActionState


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
    _check_names(target)
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
        return _take(
            store,
            config,
            row,
            [_S.PLANNED],
            _S.AWAITING_APPROVAL,
            principal,
            what="ask",
            message="waits for a second person",
            expires_at=until,
            plan=replace(found, expires_at=until),
        )
    sure = [_S.APPROVED] if found.needs_approval else [_S.PLANNED]
    started = _take(
        store,
        config,
        row,
        sure,
        _S.EXECUTING,
        principal,
        what="execute",
        message="confirmed",
        executor=principal.name,
    )
    return send(store, config, action_id) if writes_here(config, row.target.cluster) else started


def approve(store: Store, config: Config, principal: Caller, action_id: str) -> ActionRow:
    """A second person agrees. Raises NotAllowed for the proposer and for who may not approve."""
    row = _asked(store, principal, action_id)
    return _take(
        store,
        config,
        row,
        [_S.AWAITING_APPROVAL],
        _S.APPROVED,
        principal,
        what="approve",
        message="approved",
        approver=principal.name,
        expires_at=clock.now() + APPROVAL_LIFE,
    )


def reject(store: Store, config: Config, principal: Caller, action_id: str, reason: str = "") -> ActionRow:
    """A second person does not agree; the action ends refused."""
    row = _asked(store, principal, action_id)
    words = f"rejected by {principal.name}: {reason.strip()[:LONGEST_REASON]}".rstrip(": ")
    return _take(
        store,
        config,
        row,
        [_S.AWAITING_APPROVAL],
        _S.REFUSED,
        principal,
        what="reject",
        message=words,
        approver=principal.name,
    )


def cancel(store: Store, config: Config, principal: Caller, action_id: str) -> ActionRow:
    """Withdraw what was not sent yet. Raises ActionConflict once it was."""
    row = load(store, action_id)
    if not principal.may_act(row.kind, row.target.namespace):
        raise NotAllowed(f"{principal.name} may not cancel this")
    unsent = [_S.PLANNING, _S.PLANNED, _S.AWAITING_APPROVAL, _S.APPROVED]
    words = f"cancelled by {principal.name}"
    return _take(store, config, row, unsent, _S.CANCELLED, principal, what="cancel", message=words)


def _take(
    store: Store,
    config: Config,
    row: ActionRow,
    from_states: Collection[ActionState],
    to_state: ActionState,
    principal: Caller,
    *,
    what: str,
    message: str,
    **columns: Any,
) -> ActionRow:
    """The row, taken on by this caller. Raises ActionConflict when it is not where it must be any more."""
    who = principal.name
    if not move(store, config, row, from_states, to_state, who=who, what=what, message=message, **columns):
        raise ActionConflict(f"it is {load(store, row.id).state.value} already: too late to {what}")
    return load(store, row.id)


def _check_names(target: Target) -> None:
    """Names end in addresses of the cluster's API. Raises BadInput for what cannot be one."""
    for field in ("namespace", "name"):
        if _NAME.fullmatch(getattr(target, field)) is None:
            raise BadInput("is not a name that Kubernetes knows", field=f"target.{field}")


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
