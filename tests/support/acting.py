"""A store, a fake cluster and a fleet in which actions can be tried in logical time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from app import act, clock
from app.act.record import load as load_action
from app.config import Cluster, Config, KubeAccess, Kubernetes, load
from app.model.action import ActionState, Target
from app.model.fleet import (
    Evidence,
    EvidenceKind,
    Freshness,
    Health,
    HealthStatus,
    Latency,
    SourceStatus,
    Topology,
)
from app.store import audit, live
from app.store.actions import ActionRow
from app.store.engine import Store
from tests.support.factories import NOON, make_edge, make_node
from tests.support.fake_kubernetes_writes import FakeKubernetesWrites

CHECKOUT = Target("demo", "shop", "Deployment", "checkout")


@dataclass(frozen=True)
class Person:
    name: str = "alice"
    rights: frozenset[str] = frozenset({"read", "act"})

    def allows(self, permission: str) -> bool:
        return permission in self.rights

    def may_act(self, kind: str, namespace: str) -> bool:
        return "act" in self.rights


ALICE = Person("alice")
BOB = Person("bob", frozenset({"read"}))
ERIN = Person("erin", frozenset({"read", "act", "approve"}))


@dataclass
class Acting:
    store: Store
    config: Config
    cluster: FakeKubernetesWrites
    now: datetime = NOON
    facts: dict[str, Any] = field(default_factory=dict)

    def at(self, seconds: float) -> Acting:
        """Go to this many seconds after noon."""
        self.now = NOON + timedelta(seconds=seconds)
        return self

    def fleet(
        self,
        status: HealthStatus,
        *,
        rps: float = 10.0,
        errors: float = 0.0,
        p95: float = 0.1,
        silent: bool = False,
    ) -> None:
        """What the live topology says now, over the last minute."""
        heard = NOON if silent else self.now
        node = make_node(
            "checkout",
            evidence=(Evidence(EvidenceKind.SERVER_METRICS, heard, rps),),
            workload=("Deployment", "checkout"),
            health=Health(status),
            rps=rps,
            requests=rps * 60,
            error_ratio=errors,
            latency=Latency(p95 / 2, p95, p95 * 2),
        )
        edge = make_edge(
            "gateway", "checkout", rps=rps, error_ratio=errors, latency=Latency(p95 / 2, p95, p95)
        )
        source = Freshness("demo/prometheus", self.now, SourceStatus.DOWN if silent else SourceStatus.OK)
        topology = Topology("demo", self.now, timedelta(minutes=1), (node,), (edge,), (source,))
        with self.store.begin() as session:
            live.put(session, topology, b"")

    def propose(self, replicas: int = 4, *, who: Person = ALICE, **over: Any) -> ActionRow:
        fields: dict[str, Any] = {
            "kind": "scale",
            "target": CHECKOUT,
            "params": {"replicas": replicas},
            "reason": "load",
        }
        fields |= over
        with clock.frozen_at(self.now):
            return act.propose(self.store, self.config, who, **fields)

    def execute(self, row: ActionRow, *, who: Person = ALICE, **over: Any) -> ActionRow:
        fields: dict[str, Any] = {"plan_hash": row.plan_hash, "confirm": "checkout"} | over
        with clock.frozen_at(self.now):
            return act.execute(self.store, self.config, who, row.id, **fields)

    def follow(self, row: ActionRow) -> ActionRow:
        """One round of the periodic work."""
        with clock.frozen_at(self.now):
            act.follow_all(self.store, self.config)
            return load_action(self.store, row.id)

    def does(self, verb: str, row: ActionRow, who: Person, *rest: Any) -> ActionRow:
        with clock.frozen_at(self.now):
            return getattr(act, verb)(self.store, self.config, who, row.id, *rest)

    def audit(self) -> list[tuple[str, str, str]]:
        """(who, what, outcome), oldest first; the chain must hold."""
        with self.store.reading() as session:
            assert audit.verify(session, self.config.secret_key.reveal().encode()).ok
            return [(row.who, row.what, row.outcome) for row in reversed(audit.page(session))]

    def without_account(self) -> Config:
        """The configuration of a process that holds no account that may write."""
        (cluster,) = self.config.clusters
        assert cluster.kubernetes is not None
        return replace(
            self.config, clusters=(replace(cluster, kubernetes=replace(cluster.kubernetes, act=None)),)
        )


@contextmanager
def acting(directory: Path) -> Iterator[Acting]:
    """Everything set up at noon with a healthy fleet; closed at the end."""
    cluster = FakeKubernetesWrites()
    store = Store("sqlite:///store.db", directory)
    store.migrate()
    access = KubeAccess(kubeconfig=cluster.kubeconfig(directory))
    config = replace(
        load(None, state_dir=directory),
        clusters=(Cluster(name="demo", kubernetes=Kubernetes(act=access)),),
    )
    scene = Acting(store, config, cluster)
    scene.fleet(HealthStatus.HEALTHY)
    try:
        yield scene
    finally:
        cluster.close()
        store.dispose()


FINAL = {state for state in ActionState if state.final}
