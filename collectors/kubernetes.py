"""A cluster's Kubernetes API, watched: what exists, how it stands, and how fresh that knowledge is per kind.

`pull` reads nothing from the network: it hands out what the watches know, reusing every part that did not change.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from app.clock import monotonic
from app.config import Kubernetes
from app.errors import SourceError, SourceRefused, SourceStarting, SourceUnavailable
from app.model.fleet import Snapshot
from app.model.inventory import Inventory, KubeService
from app.model.series import Window
from collectors.kube_api import Forbidden, KubeApi, NotServed
from collectors.kube_kinds import KINDS, Kind
from collectors.kube_model import Slice
from collectors.kube_watch import KindWatch, Pace, Standing

log = logging.getLogger("quarterdeck.collect")

_FIELDS: dict[str, tuple[str, ...]] = {
    "workloads": ("Deployment", "StatefulSet", "DaemonSet"),
    "revisions": ("ReplicaSet", "ControllerRevision"),
    "pods": ("Pod",),
    "nodes": ("Node",),
    "autoscalers": ("HorizontalPodAutoscaler",),
    "disruptions": ("PodDisruptionBudget",),
    "quotas": ("ResourceQuota",),
    "services": ("Service", "EndpointSlice"),
    "events": ("Event",),
}
_PATIENCE = 2  # failures in a row before a watch that once worked is called down
_WAIT_FOR_END = 2.0


class KubernetesCollector:
    """Watches one cluster. `start` begins the watches, `close` ends them."""

    kind: ClassVar[str] = "kubernetes"
    cost: ClassVar[str] = (
        "Replicas, versions, pods and rollouts stay as they were last seen; no action can be planned."
    )

    def __init__(
        self, cluster: str, settings: Kubernetes, *, name: str = "kubernetes", pace: Pace | None = None
    ) -> None:
        self.cluster = cluster
        self.name = name
        self.settings = settings
        self.api = KubeApi(settings)
        self._pace = pace or Pace()
        self._guard = threading.Lock()
        self._watches: list[KindWatch] = []
        self._threads: list[threading.Thread] = []
        self._notices: dict[str, str] = {}
        self._stopping = False
        self._parts: dict[str, tuple[tuple[int, ...], tuple[Any, ...]]] = {}

    def start(self) -> None:
        """Begin one watch per kind and namespace; does nothing when they run."""
        if self._watches:
            return
        self._stopping = False
        for kind in KINDS:
            for namespace in (self.settings.namespaces or ("",)) if kind.namespaced else ("",):
                self._begin(kind, namespace)

    def close(self) -> None:
        """End the watches and free the connections."""
        with self._guard:
            self._stopping = True
            watches, threads = self._watches, self._threads
            self._watches, self._threads = [], []
        for watch in watches:
            watch.stop()
        deadline = monotonic() + _WAIT_FOR_END
        for thread in threads:
            thread.join(max(0.0, deadline - monotonic()))
        self.api.close()

    def pull(self, window: Window) -> Snapshot:
        """What is known at the window's end. Raises SourceUnavailable, with the age of the oldest word, when the
        watches are down, SourceStarting while they list for the first time, SourceRefused when nothing is allowed.
        """
        with self._guard:
            watches = list(self._watches)
        standings = [watch.standing() for watch in watches]
        self._judge(standings)
        inventory = self._inventory(watches, standings)
        notices = (*self._notices.values(), *_troubles(standings))
        return Snapshot(self.cluster, self.name, window.end, inventory=inventory, notices=notices)

    def _begin(self, kind: Kind, namespace: str) -> None:
        on_list = self._check_namespace if kind.name == "Deployment" and namespace else None
        watch = KindWatch(self.api, kind, namespace, pace=self._pace, on_list=on_list)
        thread = threading.Thread(
            target=self._run, args=(watch,), name=f"watch-{self.cluster}-{kind.plural}", daemon=True
        )
        with self._guard:
            if self._stopping:
                return
            self._watches.append(watch)
            self._threads.append(thread)
        thread.start()

    def _run(self, watch: KindWatch) -> None:
        """One watch's thread. Where a whole cluster may not be read, the account's own namespace may be."""
        while not self._stopping:
            try:
                watch.run()
                return
            except Forbidden as error:
                if self._narrow(watch, error):
                    return
            watch.rest()

    def _narrow(self, watch: KindWatch, error: Forbidden) -> bool:
        """Watch the account's own namespace instead of the cluster; whether that is possible."""
        home = self.api.home_namespace() if watch.kind.namespaced and not watch.namespace else ""
        if not home:
            return False
        notice = f"{watch.kind.plural}: not allowed in the whole cluster, so only namespace {home} is watched: {error}"
        with self._guard:
            self._notices[watch.kind.name] = notice
            if watch in self._watches:
                self._watches.remove(watch)
        self._begin(watch.kind, home)
        return True

    def _check_namespace(self, watch: KindWatch, empty: bool) -> None:
        """A namespace that does not exist lists as empty (observed K4): ask for it by name."""
        key = f"namespace {watch.namespace}"
        self._notices.pop(key, None)
        if empty:
            try:
                self.api.get(f"/api/v1/namespaces/{watch.namespace}")
            except NotServed:
                self._notices[key] = f"namespace {watch.namespace} does not exist: correct the configuration"
            except SourceError:
                pass  # not allowed to ask, or not now

    def _judge(self, standings: list[Standing]) -> None:
        vital = {kind.name for kind in KINDS if kind.vital}
        watched = [one for one in standings if one.kind in vital]
        if not watched:
            raise SourceUnavailable(f"{self.api.who} is not watched by this process")
        down = [
            one for one in watched if one.error is not None and (one.failures >= _PATIENCE or not one.synced)
        ]
        if len(down) == len(watched):
            if all(isinstance(one.error, SourceRefused) for one in down):
                raise SourceRefused(str(down[0].error))
            raise SourceUnavailable(f"{down[0].error}; {_oldest(down)}")
        waiting = [one.kind for one in watched if not one.synced and one.error is None]
        if waiting:
            raise SourceStarting(f"{self.api.who}: still listing {', '.join(dict.fromkeys(waiting))}")

    def _inventory(self, watches: list[KindWatch], standings: list[Standing]) -> Inventory:
        parts = {field: self._part(field, watches) for field in _FIELDS}
        return Inventory(**parts, kinds=_freshness(standings))

    def _part(self, field: str, watches: list[KindWatch]) -> tuple[Any, ...]:
        """One field of the inventory; the same tuple as long as nothing in it changed."""
        wanted = [watch for watch in watches if watch.kind.name in _FIELDS[field]]
        versions = tuple(number for watch in wanted for number in (id(watch), watch.standing().version))
        held = self._parts.get(field)
        if held is not None and held[0] == versions:
            return held[1]
        objects = [one for watch in wanted for one in watch.objects()[1]]
        made = _with_addresses(objects) if field == "services" else tuple(objects)
        self._parts[field] = (versions, made)
        return made


def _with_addresses(objects: list[Any]) -> tuple[KubeService, ...]:
    """Services with the ready addresses of their slices."""
    addresses: dict[tuple[str, str], tuple[str, ...]] = {}
    for one in objects:
        if isinstance(one, Slice):
            key = (one.namespace, one.service)
            addresses[key] = addresses.get(key, ()) + one.addresses
    services = [one for one in objects if isinstance(one, KubeService)]
    return tuple(
        replace(one, addresses=tuple(sorted(addresses.get((one.namespace, one.name), ()))))
        for one in services
    )


def _freshness(standings: list[Standing]) -> tuple[tuple[str, datetime | None, bool], ...]:
    """Per kind the oldest word of its watches, and whether all of them listed everything."""
    kinds: dict[str, list[Standing]] = {}
    for one in standings:
        kinds.setdefault(one.kind, []).append(one)
    return tuple(
        (kind, _oldest_word(group), all(one.synced for one in group)) for kind, group in kinds.items()
    )


def _oldest_word(standings: list[Standing]) -> datetime | None:
    heard = [one.heard for one in standings]
    known = [moment for moment in heard if moment is not None]
    return min(known) if len(known) == len(heard) and known else None


def _oldest(down: list[Standing]) -> str:
    """The oldest word of the watches that are down; a moment, not an age, so that the sentence stays the same."""
    never = [one.kind for one in down if one.heard is None]
    if never:
        return f"{never[0]} was never heard of"
    moment, kind = min((one.heard, one.kind) for one in down if one.heard is not None)
    return f"the oldest word, on {kind}, is of {moment:%H:%M:%S} UTC"


def _troubles(standings: list[Standing]) -> list[str]:
    """Kinds that are not read, and objects that could not be."""
    said = []
    for one in standings:
        where = f" in {one.namespace}" if one.namespace else ""
        if one.error is not None and (one.failures >= _PATIENCE or not one.synced):
            said.append(f"{one.kind}{where}: {one.error}")
        if one.rejects:
            said.append(f"{one.kind}{where}: {one.rejects} objects could not be read and are left out")
    return said
