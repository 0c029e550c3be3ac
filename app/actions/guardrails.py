"""Checks of a plan before anybody may confirm it; each says its result, also when it passed.

Starting values (proposals, reference: actions, section 15): no more than twice as many replicas, no less than
half, never zero, without a deliberate confirmation.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from app.actions.forecast import bounds
from app.actions.quantity import number
from app.model.action import Check, Verdict

Obj = dict[str, Any]
MOST_UP = 2.0
MOST_DOWN = 0.5


def standing(live: Obj, *, others: bool) -> list[Check]:
    """Is the object itself in a condition to be changed."""
    meta, spec = live.get("metadata") or {}, live.get("spec") or {}
    owner = next((ref for ref in meta.get("ownerReferences") or [] if ref.get("controller")), None)
    paused = bool(spec.get("paused"))
    return [
        _check(
            "deleting",
            meta.get("deletionTimestamp") is None,
            "it is not being deleted",
            "it is being deleted",
        ),
        _check("in_flight", not others, "no other action is in flight", "another action on it is in flight"),
        _check(
            "owner",
            owner is None,
            "nothing controls it from above",
            f"it is controlled by {_named(owner)}, which would rewrite it: act on that",
        ),
        _check(
            "paused",
            not paused,
            "its rollout is not paused",
            "its rollout is paused: new pods are made, a pending change is not",
            Verdict.WARN,
        ),
    ]


def permission(allowed: bool, verb: str, resource: str) -> Check:
    """Whether our account may do it at all; the missing rule is named by us (observed W6)."""
    rule = f"apiGroups: [apps], resources: [{resource}], verbs: [{verb}]"
    return _check(
        "permission",
        allowed,
        f"the account may {verb} {resource}",
        f"the account may not {verb} {resource}: a Role with {rule} would grant it",
    )


def step(now: int, wanted: int) -> list[Check]:
    """Is the step small enough."""
    if wanted == now:
        return [Check("step", Verdict.REFUSE, f"it already has {now} replicas: nothing to do")]
    zero = _check(
        "zero",
        wanted > 0,
        "it keeps at least one replica",
        "zero replicas stop the service: a second person has to approve",
        Verdict.WARN,
    )
    within = wanted <= now * MOST_UP if wanted > now else wanted >= now * MOST_DOWN
    ratio = f"from {now} to {wanted}"
    size = _check(
        "step",
        within,
        f"{ratio} is no more than twice and no less than half",
        f"{ratio} is more than twice or less than half: type the name to confirm",
        Verdict.WARN,
    )
    return [zero, size]


def confirmation(now: int, wanted: int) -> str:
    """none | name | second_person: raising within the step needs only the button, lowering needs the name."""
    if wanted == 0:
        return "second_person"
    return "none" if now < wanted <= now * MOST_UP else "name"


def autoscaling(autoscaler: Obj | None, wanted: int) -> list[Check]:
    """An autoscaler fights a manual count (observed S3): said, not forbidden."""
    if autoscaler is None:
        return [Check("autoscaler", Verdict.PASS, "no autoscaler manages it")]
    name = (autoscaler.get("metadata") or {}).get("name", "")
    low, high = bounds(autoscaler)
    advice = (
        f"raise its minReplicas to {wanted} for a lasting effect" if wanted <= high else "raise its maximum"
    )
    message = f"autoscaler {name} ({low} to {high}) will take the number back: {advice}"
    return [Check("autoscaler", Verdict.WARN, message)]


def quota(quotas: list[Obj], live: Obj, more: int) -> list[Check]:
    """Room for `more` pods in every ResourceQuota; neither write nor dry run is checked against it (S2)."""
    if more <= 0:
        return [Check("quota", Verdict.PASS, "it needs no more than now")]
    need = _need_per_pod(live)
    short = [line for item in quotas for line in _shortages(item, need, more)]
    if short:
        return [Check("quota", Verdict.REFUSE, f"{more} more pods do not fit: {'; '.join(short)}")]
    return [Check("quota", Verdict.PASS, "every quota has room" if quotas else "the namespace has no quota")]


def refused(checks: tuple[Check, ...]) -> list[Check]:
    """Those that forbid the plan."""
    return [check for check in checks if check.verdict is Verdict.REFUSE]


def _shortages(item: Obj, need: dict[str, Decimal], more: int) -> list[str]:
    status = item.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    name = (item.get("metadata") or {}).get("name", "")
    found = []
    for resource, each in need.items():
        limit, taken = number(hard.get(resource)), number(used.get(resource, "0"))
        if limit is not None and taken is not None and taken + each * more > limit:
            found.append(f"quota {name}: {resource} {used.get(resource, '0')} of {hard[resource]} used")
    return found


def _need_per_pod(live: Obj) -> dict[str, Decimal]:
    template = ((live.get("spec") or {}).get("template") or {}).get("spec") or {}
    need: dict[str, Decimal] = {"pods": Decimal(1), "count/pods": Decimal(1)}
    for container in template.get("containers") or []:
        resources = container.get("resources") or {}
        for side in ("requests", "limits"):
            for resource, amount in (resources.get(side) or {}).items():
                value = number(amount)
                names = [f"{side}.{resource}", *([resource] if side == "requests" else [])]
                for name in names if value is not None else []:
                    need[name] = need.get(name, Decimal(0)) + (value or Decimal(0))
    return need


def _named(owner: Obj | None) -> str:
    return f"{owner.get('kind', '?')} {owner.get('name', '?')}" if owner else "something"


def _check(rule: str, ok: bool, fine: str, bad: str, verdict: Verdict = Verdict.REFUSE) -> Check:
    return Check(rule, Verdict.PASS, fine) if ok else Check(rule, verdict, bad)
