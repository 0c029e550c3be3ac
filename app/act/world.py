"""The world as an action sees it: live objects through the writing account, the fleet through the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol

import numpy as np

from app import clock
from app.actions import KINDS
from app.actions.base import Action, Objects
from app.config import Cluster, Config
from app.errors import ActionRefused, BadInput
from app.model.action import Target
from app.model.fleet import Topology
from app.model.series import Window
from app.store import actions, frames, live
from app.store.engine import Store
from collectors.kube_write import KubeWriter

_PEAK = timedelta(hours=1)
_STEP = timedelta(minutes=1)


class Caller(Protocol):
    """Who asks: the web's Principal, or anything with its name and rights."""

    @property
    def name(self) -> str:
        """For the audit rows."""
        ...

    def allows(self, permission: str) -> bool:
        """Whether the caller holds a permission."""
        ...

    def may_act(self, kind: str, namespace: str) -> bool:
        """Whether the caller may take this kind of action in this namespace."""
        ...


class StoreWorld:
    """`base.World` over a store and one cluster's writing account."""

    def __init__(self, store: Store, target: Target, action_id: str, objects: Objects) -> None:
        self._store, self._target, self._action = store, target, action_id
        self._objects = objects

    @property
    def objects(self) -> Objects:
        """The cluster."""
        return self._objects

    @property
    def now(self) -> datetime:
        """The present moment."""
        return clock.now()

    def topology(self) -> Topology | None:
        """The live topology."""
        with self._store.reading() as session:
            return live.current(session, self._target.cluster)

    def peak_rps(self, node: str) -> float | None:
        """The busiest minute of the last hour."""
        now = clock.now()
        with self._store.reading() as session:
            found = frames.series(
                session, self._target.cluster, [node], Window(now - _PEAK, now), _STEP, latency=False
            )
        requests = found.lines[node].requests
        return None if np.isnan(requests).all() else float(np.nanmax(requests)) / found.step.total_seconds()

    def others_in_flight(self) -> bool:
        """Whether an action other than this one is in flight on the target."""
        with self._store.reading() as session:
            other = actions.in_flight(session, self._target)
        return other is not None and other.id != self._action


def kind_of(name: str) -> Action:
    """The action behind a kind; third parties join through the entry-point group `quarterdeck.actions`."""
    path = KINDS.get(name)
    if path is None:
        found = {entry.name: entry for entry in entry_points(group="quarterdeck.actions")}
        if name not in found:
            raise BadInput(
                f"there is no action {name[:40]!r}; there are {', '.join(sorted(KINDS))}", field="kind"
            )
        made: Action = found[name].load()()
        return made
    module, _, cls = path.partition(":")
    action: Action = getattr(import_module(module), cls)()
    return action


def cluster_of(config: Config, name: str) -> Cluster:
    """A configured cluster. Raises BadInput."""
    for cluster in config.clusters:
        if cluster.name == name:
            return cluster
    raise BadInput(f"there is no cluster {name[:60]!r}", field="target.cluster")


def writes_here(config: Config, cluster: str) -> bool:
    """Whether this process has an account that may write to the cluster."""
    kubernetes = cluster_of(config, cluster).kubernetes
    return kubernetes is not None and kubernetes.act is not None


@contextmanager
def world_of(store: Store, config: Config, target: Target, action_id: str) -> Iterator[StoreWorld]:
    """The world of one step of one action. Raises ActionRefused without an account, ActionFailed without a server."""
    kubernetes = cluster_of(config, target.cluster).kubernetes
    if kubernetes is None or kubernetes.act is None:
        raise ActionRefused(
            f"no account that may write to {target.cluster} is configured: give clusters[].kubernetes.act"
        )
    objects = KubeWriter(kubernetes.act, action=action_id)
    try:
        yield StoreWorld(store, target, action_id, objects)
    finally:
        objects.close()
