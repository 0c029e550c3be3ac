"""Celery tasks: each one line of work done by a plain function. Queues: collect, evaluate, act.

A task is a coarse unit (one look at one cluster, one evaluation round, one step of an action). What it needs
hangs on the Celery application as `app.work`; `app.factory.create_celery` puts it there.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from celery import Task, shared_task

from app import act, clock, collect, evaluate
from app.config import Cluster, Config
from app.store import housekeeping
from app.store.engine import Store
from app.understand.freshness import patience
from collectors.base import Collector

DEFAULT_INTERVAL = timedelta(seconds=15)


@dataclass(slots=True)
class Work:
    """What tasks work on: the configuration, the store, and the collectors that are polled."""

    config: Config
    store: Store
    collectors: tuple[Collector, ...] = ()
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    _busy: set[str] = field(default_factory=set)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, name: str) -> bool:
        """Whether `name` was not already running in this process; then it is marked as running."""
        with self._guard:
            if name in self._busy:
                return False
            self._busy.add(name)
            return True

    def end(self, name: str) -> None:
        """`name` has ended."""
        with self._guard:
            self._busy.discard(name)


def interval_of(cluster: Cluster) -> timedelta:
    """How often a cluster is looked at."""
    return cluster.prometheus.interval if cluster.prometheus else DEFAULT_INTERVAL


def schedule(clusters: Iterable[Cluster]) -> dict[str, dict[str, Any]]:
    """Beat's timetable. A round that could not start before the next one is due is dropped."""
    table: dict[str, dict[str, Any]] = {
        "follow-actions": {"task": "act.follow", "schedule": 2.0, "options": {"expires": 2.0}},
        "keep-house": {"task": "store.keep_house", "schedule": 60.0, "options": {"expires": 60.0}},
    }
    for cluster in clusters:
        seconds = interval_of(cluster).total_seconds()
        table[f"look-{cluster.name}"] = {
            "task": "collect.look",
            "schedule": seconds,
            "args": (cluster.name,),
            "options": {"expires": seconds},
        }
    return table


@shared_task(name="collect.look", bind=True)
def look(self: Task, cluster: str) -> None:
    """Ask every polled source of a cluster, then have the round evaluated."""
    work: Work = self.app.work
    if work.begin(f"look {cluster}"):
        try:
            collect.look(work.store, work.collectors, cluster, clock.now())
        finally:
            work.end(f"look {cluster}")
            judge.delay(cluster)


@shared_task(name="evaluate.judge", bind=True)
def judge(self: Task, cluster: str) -> None:
    """Make the topology of a cluster from what its sources said last."""
    work: Work = self.app.work
    if work.begin(f"judge {cluster}"):
        try:
            allowed = patience(work.config.clusters)
            rules, limits = work.config.identity.all, work.config.health.rules
            evaluate.tick(work.store, cluster, clock.now(), rules, patience=allowed, limits=limits)
        finally:
            work.end(f"judge {cluster}")


@shared_task(name="act.follow", bind=True)
def follow(self: Task) -> None:
    """Take every running action one step further."""
    act.follow_all(self.app.work.store, self.app.work.config)


@shared_task(name="store.keep_house", bind=True)
def keep_house(self: Task) -> None:
    """Compact, roll up and forget what is due."""
    work: Work = self.app.work
    if work.begin("keep house"):
        try:
            housekeeping.run(work.store, work.config, clock.now(), holder=work.name)
        finally:
            work.end("keep house")
