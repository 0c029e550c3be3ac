"""The processes: serve (everything in one) and web, worker, beat, watch (its parts, for scale-out).

Each runs until SIGTERM or SIGINT and then ends within ten seconds. SIGHUP reloads the configuration; what
cannot change while running (addresses, store, broker) is named in the log.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from app import collect
from app.config import Config, load
from app.errors import ConfigError, Problem, QuarterdeckError
from app.factory import create_app, create_celery, tune_collector
from app.store import leases
from app.store.engine import Store, open_store

log = logging.getLogger("quarterdeck.serve")

OTLP_DEFAULT = "127.0.0.1:4318"


def split_address(address: str) -> tuple[str, int]:
    """`HOST:PORT` as (host, port); brackets around an IPv6 host are dropped."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def bind(address: str, setting: str) -> socket.socket:
    """A listening socket. Raises ConfigError naming the setting when the address cannot be had."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((host, port))
        server.listen(512)
    except OSError as error:
        server.close()
        raise ConfigError([Problem(setting, f"cannot listen on {address}: {error.strerror}")]) from error
    return server


@dataclass(slots=True)
class Stopper:
    """Turns signals into one event, and SIGHUP into a call."""

    reload: Callable[[], None] = lambda: None
    event: threading.Event = field(default_factory=threading.Event)

    def install(self) -> None:
        """Take over SIGTERM, SIGINT and SIGHUP."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.event.set())
        signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=self.reload, name="reload").start())

    def wait(self) -> None:
        """Until a stop is asked for."""
        while not self.event.wait(1.0):
            pass


class Serve:
    """Web, watchers, Celery worker and beat in one process.

    `start()` answers once requests are accepted; the rest of the work begins in the background so that the
    first page does not wait for it.
    """

    def __init__(self, config: Config, *, config_path: Path | None = None) -> None:
        self.config = config
        self.config_path = config_path
        self.store: Store = open_store(config)
        self._servers: list[Any] = []
        self._embedded: Any = None
        self._watching: Any = None

    def start(self) -> str:
        """Migrate, listen, and begin to work. Answers the address that was really bound."""
        sockets = [(bind(self.config.server.listen, "server.listen"), False), *self._otlp_sockets()]
        self.store.migrate()
        self.otlp = collect.otlp_collector(self.config)
        self.app = create_app(self.config, self.store, otlp=self.otlp, reload=self.reload)
        host, port = sockets[0][0].getsockname()[:2]
        for bound, only_otlp in sockets:
            self._listen(bound, only_otlp=only_otlp)
        threading.Thread(target=self._begin_work, name="begin-work", daemon=True).start()
        return f"http://{host}:{port}"

    def _otlp_sockets(self) -> list[tuple[socket.socket, bool]]:
        wanted = self.config.otlp.listen
        try:
            return [(bind(wanted or OTLP_DEFAULT, "otlp.listen"), True)]
        except ConfigError as error:
            if wanted:
                raise
            log.warning("no second address for traces: %s; /v1/traces still answers", error)
            return []

    def _listen(self, bound: socket.socket, *, only_otlp: bool) -> None:
        from app.web.server import threaded_server

        server = threaded_server(bound, self.app, only_otlp=only_otlp)
        self._servers.append(server)
        threading.Thread(target=server.serve_forever, name="http", daemon=True).start()

    def _begin_work(self) -> None:
        try:
            collectors = collect.build(self.config, otlp=self.otlp)
            self._watching = collect.Watching(self.config, self.store, collectors)
            self._watching.start()
            self._embedded = Embedded(create_celery(self.config, self.store, collectors))
            self._embedded.start()
            tune_collector()
        except Exception:
            log.exception("the background work could not begin; pages show what the store holds")

    def reload(self) -> None:
        """Read the configuration again; a bad one changes nothing and says why. Raises ConfigError."""
        config = load(self.config_path, state_dir=self.config.state_dir)
        fixed = [
            name
            for name in ("server", "store", "broker", "otlp")
            if getattr(config, name) != getattr(self.config, name)
        ]
        if fixed:
            log.warning("restart to apply changes of: %s", ", ".join(fixed))
        self._stop_work()
        self.config = config
        self.app.extensions["quarterdeck"].config = config
        self._begin_work()
        log.info("configuration reloaded")

    def _stop_work(self) -> None:
        if self._embedded is not None:
            self._embedded.stop()
        if self._watching is not None:
            self._watching.stop()

    def stop(self) -> None:
        """End everything; what was being written is finished first."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._stop_work()
        self.store.dispose()


class Embedded:
    """A Celery worker (threads) and beat inside this process, on the memory:// broker."""

    def __init__(self, celery: Any) -> None:
        from celery.apps.worker import WorkController
        from celery.beat import EmbeddedService, Scheduler

        self._worker = WorkController(
            app=celery,
            pool="threads",
            concurrency=4,
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
            queues=["collect", "evaluate", "act"],
            loglevel="WARNING",
        )
        self._beat = EmbeddedService(celery, thread=True, scheduler_cls=Scheduler)

    def start(self) -> None:
        """Begin both, each in its own thread."""
        self._thread = threading.Thread(target=self._worker.start, name="celery-worker", daemon=True)
        self._thread.start()
        self._beat.start()

    def stop(self) -> None:
        """End both; tasks that run are given three seconds."""
        self._beat.stop()
        self._worker.stop(in_sighandler=False)
        self._thread.join(3.0)


def serve(
    config: Config, *, config_path: Path | None = None, ready: Callable[[str, Serve], None] | None = None
) -> int:
    """Run everything in one process until a signal ends it."""
    process = Serve(config, config_path=config_path)
    stopper = Stopper(reload=lambda: _try(process.reload))
    stopper.install()
    address = process.start()
    print(f"Listening on {address}", flush=True)  # noqa: T201 - the contract of the command
    if ready is not None:
        ready(address, process)
    stopper.wait()
    process.stop()
    return 0


def _try(step: Callable[[], None]) -> None:
    try:
        step()
    except QuarterdeckError as error:
        log.error("%s", error)


def web(config: Config) -> int:
    """Pages and API under gunicorn with gevent; several of these share a store and a broker."""
    from app.web.server import run_gunicorn

    store = open_store(config)
    store.check_schema()
    store.dispose()
    return run_gunicorn(config.server.listen, lambda: _web_app(config))


def _web_app(config: Config) -> Any:
    """The application of one web worker, with its own receiver for traces."""
    store = open_store(config)
    otlp = collect.otlp_collector(config)
    collect.Watching(config, store, [otlp] if otlp else []).start()
    app = create_app(config, store, otlp=otlp)
    tune_collector()
    return app


def worker(config: Config, queues: str) -> int:
    """A Celery worker of the given queues (comma separated)."""
    store = open_store(config)
    store.check_schema()
    celery = create_celery(config, store, collect.build(config))
    celery.worker_main(
        [
            "worker",
            "--queues",
            queues,
            "--pool",
            "threads",
            "--concurrency",
            "4",
            "--loglevel",
            "WARNING",
            "--without-gossip",
            "--without-mingle",
        ]
    )
    return 0


def watch(config: Config) -> int:
    """Kubernetes watches; those of one cluster run in one process at a time."""
    store = open_store(config)
    store.check_schema()
    stopper = Stopper()
    stopper.install()
    watching = collect.Watching(config, store, collect.build(config), lease=True)
    watching.start()
    stopper.wait()
    watching.stop()
    store.dispose()
    return 0


def beat(config: Config) -> int:
    """The timetable; of several, the one that holds the lease speaks."""
    from celery.beat import Scheduler, Service

    store = open_store(config)
    store.check_schema()
    celery = create_celery(config, store, ())
    stopper = Stopper()
    stopper.install()
    holder = f"{socket.gethostname()}:{os.getpid()}"
    service: Any = None
    while not stopper.event.wait(2.0):
        with store.begin() as session:
            elected = leases.acquire(session, "beat", holder, timedelta(seconds=10))
        if elected and service is None:
            service = Service(celery, max_interval=1, scheduler_cls=Scheduler)
            threading.Thread(target=service.start, name="beat", daemon=True).start()
            log.info("this process keeps the timetable")
        elif not elected and service is not None:
            service.stop(wait=True)
            service = None
    if service is not None:
        service.stop(wait=True)
    with store.begin() as session:
        leases.release(session, "beat", holder)
    store.dispose()
    return 0
