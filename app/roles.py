"""The parts of `serve` as processes of their own, for scale-out: web, worker, beat, watch.

Each refuses a store with another schema and ends on SIGTERM. Only the worker of the act queue keeps the accounts
that may write to a cluster; all others forget them before they begin.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

from app import collect
from app.config import Config
from app.errors import ConfigError, Problem, StoreError
from app.factory import create_app, create_celery, tune_allocator, tune_collector
from app.processes import Stopper, bind
from app.store import leases
from app.store.engine import Store, open_store

log = logging.getLogger("quarterdeck.roles")

BEAT_LEASE = timedelta(seconds=10)
_RENEW_SECONDS = 2.0


def without_writing(config: Config) -> Config:
    """The configuration without the accounts that may write."""
    clusters = [
        replace(one, kubernetes=replace(one.kubernetes, act=None)) if one.kubernetes else one
        for one in config.clusters
    ]
    return replace(config, clusters=tuple(clusters))


def web(config: Config) -> int:
    """Pages and API under gunicorn with gevent; several of these share a store and a broker.

    The caller has to patch the standard library (gevent.monkey) before anything else is imported.
    """
    from app.web.server import run_gunicorn

    _store(config).dispose()
    bind(
        config.server.listen, "server.listen"
    ).close()  # refused in our own words; gunicorn would try five times
    config = without_writing(config)
    return run_gunicorn(config.server.listen, lambda: _web_app(config))


def _web_app(config: Config) -> Any:
    """The application of one web process, with its own receiver for traces."""
    store = open_store(config)
    joiners = _joiners(config)
    if joiners:
        carried = [*joiners, *collect.pulling(config, joiners)]
        collect.Watching(config, store, carried, lease=True).start()
    app = create_app(config, store, otlp=joiners[0] if joiners else None)
    tune_collector()
    return app


def _joiners(config: Config) -> list[Any]:
    """What joins spans; pushed ones are handed to the web process that joins where there is a broker to carry them."""
    alone = collect.otlp_collectors(config)
    if not alone or config.broker.url.startswith("memory:"):
        return [*alone]
    from app.spans import SharedSpans

    return [SharedSpans(alone[0], config.broker.url), *alone[1:]]


def worker(config: Config, queues: str) -> int:
    """A Celery worker of the given queues (comma separated)."""
    _demand_broker(config)
    store = _store(config)
    if "act" not in queues.split(","):
        config = without_writing(config)
    celery = create_celery(config, store, collect.build(config))
    options = ["--queues", queues, "--pool", "threads", "--concurrency", "4", "--loglevel", "WARNING"]
    celery.worker_main(["--quiet", "worker", *options, "--without-gossip", "--without-mingle"])
    store.dispose()
    return 0


def watch(config: Config) -> int:
    """Kubernetes watches and back-fill of history; those of one cluster run in one process at a time."""
    store = _store(config)
    stopper = Stopper()
    stopper.install()
    config = without_writing(config)
    watching = collect.Watching(config, store, collect.build(config), lease=True)
    watching.start()
    stopper.wait()
    watching.stop()
    store.dispose()
    return 0


def beat(config: Config) -> int:
    """The timetable; of several, the one that holds the lease speaks."""
    _demand_broker(config)
    store = _store(config)
    celery = create_celery(without_writing(config), store, ())
    stopper = Stopper()
    stopper.install()
    holder = f"{socket.gethostname()}:{os.getpid()}"
    service: Any = None
    while True:
        elected = _elected(store, holder)
        if elected and service is None:
            service = _speaking(celery)
            log.info("this process keeps the timetable")
        elif not elected and service is not None:
            log.info("another process keeps the timetable")
            service.stop(wait=True)
            service = None
        if stopper.wait(_RENEW_SECONDS):
            break
    if service is not None:
        service.stop(wait=True)
        with store.begin() as session:
            leases.release(session, "beat", holder)
    store.dispose()
    return 0


def _elected(store: Store, holder: str) -> bool:
    """Whether this process may speak; nobody may while the store does not answer."""
    try:
        with store.begin() as session:
            return leases.acquire(session, "beat", holder, BEAT_LEASE)
    except StoreError as error:
        log.warning("the timetable rests: %s", error)
        return False


def _speaking(celery: Any) -> Any:
    from celery.beat import Scheduler, Service

    service = Service(celery, max_interval=1, scheduler_cls=Scheduler)
    threading.Thread(target=service.start, name="beat", daemon=True).start()
    return service


def _store(config: Config) -> Store:
    tune_allocator()
    store = open_store(config)
    store.check_schema()
    return store


def _demand_broker(config: Config) -> None:
    if config.broker.url.startswith("memory:"):
        words = "memory:// reaches no other process: give redis://HOST:PORT/0, or run `quarterdeck serve`"
        raise ConfigError([Problem("broker.url", words)])
