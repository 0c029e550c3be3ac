"""The arithmetic of a rolling update (kubernetes: pkg/controller/deployment/rolling.go, util/deployment_util.go)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from demo.kube_kinds import Obj
from demo.kube_objects import DESIRED_NOTE, MAX_NOTE


@dataclass(frozen=True, slots=True)
class Limits:
    """How many pods are wanted, how many may be over and how many missing."""

    desired: int
    surge: int
    unavailable: int
    recreate: bool

    def notes(self) -> Obj:
        """The bookkeeping annotations of a ReplicaSet."""
        return {DESIRED_NOTE: str(self.desired), MAX_NOTE: str(self.desired + self.surge)}


def limits_of(deployment: Obj) -> Limits:
    """Percentages resolved: surge up, unavailability down; both 0 would never move, so unavailability is 1 then."""
    spec = deployment["spec"]
    desired = spec.get("replicas", 0)
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return Limits(desired, 0, desired, recreate=True)
    rolling = strategy.get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", "25%"), desired, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), desired, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Limits(desired, surge, min(unavailable, desired), recreate=False)


def _share(value: Any, of: int, *, up: bool) -> int:
    if isinstance(value, str) and value.endswith("%"):
        part = of * int(value[:-1]) / 100
        return math.ceil(part) if up else math.floor(part)
    return int(value)


def shrink_plan(limits: Limits, olds: list[Obj], new: Obj) -> list[tuple[Obj, int]]:
    """Old ReplicaSets and the size each may be brought down to now, unhealthy pods first."""
    live = [one for one in olds if one["spec"].get("replicas", 0) > 0]
    if not live:
        return []
    if limits.recreate:
        return [(one, 0) for one in live]
    total = sum(one["spec"].get("replicas", 0) for one in (*olds, new))
    unready = new["spec"].get("replicas", 0) - new["status"].get("availableReplicas", 0)
    budget = total - (limits.desired - limits.unavailable) - unready
    sizes = {one["metadata"]["name"]: one["spec"].get("replicas", 0) for one in live}
    for one in live:
        sick = min(sizes[one["metadata"]["name"]] - one["status"].get("availableReplicas", 0), max(budget, 0))
        if sick > 0:
            sizes[one["metadata"]["name"]] -= sick
            budget -= sick
    available = sum(one["status"].get("availableReplicas", 0) for one in (*olds, new))
    spare = min(available - (limits.desired - limits.unavailable), max(budget, 0))
    for one in live:
        cut = min(sizes[one["metadata"]["name"]], max(spare, 0))
        sizes[one["metadata"]["name"]] -= cut
        spare -= cut
    return [
        (one, sizes[one["metadata"]["name"]])
        for one in live
        if sizes[one["metadata"]["name"]] != one["spec"].get("replicas", 0)
    ]


def spread(active: list[Obj], limits: Limits) -> dict[str, int]:
    """Proportional scaling: a change of the wanted number shared out by size, the rest to the largest."""
    total = sum(one["spec"]["replicas"] for one in active)
    allowed = limits.desired + limits.surge if len(active) > 1 and limits.desired else limits.desired
    delta = allowed - total
    order = sorted(active, key=lambda one: -one["spec"]["replicas"])
    shares: dict[str, int] = {}
    given = 0
    for one in order:
        size = one["spec"]["replicas"]
        part = round(delta * size / total) if total else 0
        if abs(given + part) > abs(delta):
            part = delta - given
        given += part
        shares[one["metadata"]["name"]] = max(size + part, 0)
    if order:
        largest = order[0]["metadata"]["name"]
        shares[largest] = max(shares[largest] + delta - given, 0)
    return shares


def merged_status(deployment: Obj, olds: list[Obj], new: Obj | None) -> Obj:
    """Status numbers summed over ReplicaSets; zeros left out, in the API server's order."""
    sets = [*olds, *([new] if new else ())]

    def total(name: str) -> int:
        return sum((one.get("status") or {}).get(name, 0) for one in sets)

    replicas, available = total("replicas"), total("availableReplicas")
    wanted = sum(one["spec"].get("replicas", 0) for one in sets)
    status: Obj = {"observedGeneration": deployment["metadata"]["generation"], "replicas": replicas}
    numbers = {
        "updatedReplicas": ((new or {}).get("status") or {}).get("replicas", 0),
        "readyReplicas": total("readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(wanted - available, 0),
    }
    status.update({name: number for name, number in numbers.items() if number})
    status["terminatingReplicas"] = total("terminatingReplicas")
    return status


def complete(deployment: Obj, status: Obj) -> bool:
    """Whether all wanted pods are of the present template, available, and no others are there."""
    desired = deployment["spec"].get("replicas", 0)
    return bool(
        status.get("updatedReplicas", 0) == desired
        and status.get("replicas", 0) == desired
        and status.get("availableReplicas", 0) == desired
        and status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    )


def progressed(old: Obj, new: Obj) -> bool:
    """Whether a status is closer to the end than the one before."""
    fewer_old = new["replicas"] - new.get("updatedReplicas", 0) < old.get("replicas", 0) - old.get(
        "updatedReplicas", 0
    )
    return bool(
        new.get("updatedReplicas", 0) > old.get("updatedReplicas", 0)
        or fewer_old
        or new.get("readyReplicas", 0) > old.get("readyReplicas", 0)
        or new.get("availableReplicas", 0) > old.get("availableReplicas", 0)
    )
