"""The seam of every kind of action: plan against the live object, apply exactly the plan, follow it, judge it.

A kind holds only knowledge of what it changes. The states, their order, who may what, and the audit rows are
`app.act`'s; guardrails, forecasts, rollout and verdict are shared modules beside this one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Protocol

from app.model.action import Applied, Plan, Progress, Target
from app.model.fleet import Topology

Obj = dict[str, Any]


class Objects(Protocol):
    """The live objects of a cluster; `collectors.kube_write.KubeWriter` is the real one."""

    warnings: list[str]

    def workload(self, namespace: str, kind: str, name: str) -> Obj:
        """The live workload."""
        ...

    def scale(self, namespace: str, kind: str, name: str) -> Obj:
        """Its Scale subresource."""
        ...

    def put_scale(self, namespace: str, kind: str, name: str, body: Obj, *, dry_run: bool) -> Obj:
        """Write it, or only try."""
        ...

    def may(
        self, namespace: str, verb: str, group: str, resource: str, subresource: str = ""
    ) -> tuple[bool, str]:
        """Whether this account may."""
        ...

    def autoscalers(self, namespace: str) -> list[Obj]:
        """HorizontalPodAutoscalers."""
        ...

    def quotas(self, namespace: str) -> list[Obj]:
        """ResourceQuotas."""
        ...

    def pods(self, namespace: str, selector: str) -> list[Obj]:
        """Pods."""
        ...

    def events(self, namespace: str, reason: str) -> list[Obj]:
        """Events."""
        ...


class World(Protocol):
    """What an action may look at: the live objects, the fleet as it stands, and the time."""

    @property
    def objects(self) -> Objects:
        """The cluster; its answers are live, never from a cache."""
        ...

    @property
    def now(self) -> datetime:
        """The present moment."""
        ...

    def topology(self) -> Topology | None:
        """The live topology of the target's cluster."""
        ...

    def peak_rps(self, node: str) -> float | None:
        """The busiest minute of the last hour, requests per second."""
        ...

    def others_in_flight(self) -> bool:
        """Whether another action is in flight on the target."""
        ...


class Action(Protocol):
    """One kind of action."""

    kind: ClassVar[str]

    def check(self, target: Target, params: dict[str, Any]) -> None:
        """Refuse (BadInput) what cannot be asked of any cluster."""
        ...

    def plan(self, target: Target, params: dict[str, Any], world: World) -> Plan:
        """What would happen, from the live object and a server-side dry run.

        Raises ActionRefused when the cluster says no, ActionFailed when it cannot be asked.
        """
        ...

    def apply(self, plan: Plan, target: Target, world: World) -> Applied:
        """Write it. Raises ActionConflict, ActionRefused, ActionFailed, or OutcomeUnknown."""
        ...

    def landed(self, plan: Plan, target: Target, world: World) -> Applied | None:
        """For a write without an answer: what stands in the cluster if it took effect, None if it did not.

        Raises ActionFailed when the object is gone or another one.
        """
        ...

    def taken_back(self, plan: Plan, live: Obj) -> str | None:
        """Who or what undid the write, as a sentence; None while it stands."""
        ...

    def progress(self, plan: Plan, applied: Applied, target: Target, live: Obj, world: World) -> Progress:
        """Where the rollout stands."""
        ...
