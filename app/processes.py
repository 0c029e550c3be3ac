"""`serve`: everything in one process, and how a process learns that it has to end or to reload.

It runs until SIGTERM or SIGINT and then ends within ten seconds. SIGHUP reloads the configuration; what cannot
change while running (addresses, store, broker) is named in the log. The parts alone are `app.roles`.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from app import collect
from app.config import Config
from app.errors import ConfigError, Problem, QuarterdeckError
from app.factory import create_app, create_celery, tune_allocator, tune_collector
from app.store import settings, users
from app.store.engine import Store, open_store

log = logging.getLogger("quarterdeck.serve")

_FIRST_PAGE = 0.7  # seconds in which the first page has the processor for itself
OTLP_DEFAULT = "127.0.0.1:4318"
_FIXED = ("server", "store", "broker", "otlp")


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
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise ConfigError([Problem(setting, f"cannot listen on {address}: {why}")]) from error
    return server


class Stopper:
    """Turns SIGTERM and SIGINT into one answer of `wait`, and SIGHUP into a call, or a stop where nothing reloads.

    The handlers only write to a pipe: a handler that takes a lock could meet the main thread holding it.
    """

    def __init__(self, reload: Callable[[], None] | None = None) -> None:
        self._reload = reload
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def install(self) -> None:
        """Take over the three signals."""
        for number, word in ((signal.SIGTERM, b"s"), (signal.SIGINT, b"s"), (signal.SIGHUP, b"r")):
            signal.signal(number, lambda *_, word=word: os.write(self._write, word))

    def wait(self, seconds: float | None = None) -> bool:
        """Whether a stop was asked for, at the latest after `seconds`; None waits until it is."""
        while select.select([self._read], [], [], seconds)[0]:
            if b"s" in os.read(self._read, 64) or self._reload is None:
                return True
            self._reload()
        return False


@dataclass(frozen=True, slots=True)
class Moments:
    """What a command does around the start: before "Listening" is said, and after."""

    before: Callable[[str, Store], None] = lambda _address, _store: None
    after: Callable[[], None] = lambda: None


class Serve:
    """Web, watchers, Celery worker and beat in one process. `reread` answers the configuration as it is now.

    `start()` answers once requests are accepted; the rest of the work begins in the background so that the
    first page does not wait for it.
    """

    def __init__(self, config: Config, *, reread: Callable[[], Config] | None = None) -> None:
        self.config = config
        self.store: Store = open_store(config)
        self._reread = reread or (lambda: config)
        self._servers: list[Any] = []
        self._embedded: Embedded | None = None
        self._watching: collect.Watching | None = None
        self._turn = threading.Lock()  # beginning, reloading and stopping, one at a time
        self._ended = False

    def start(self) -> str:
        """Migrate, listen, and begin to work. Answers the address that was really bound."""
        tune_allocator()
        sockets = [(bind(self.config.server.listen, "server.listen"), False), *self._otlp_sockets()]
        self.store.migrate()
        self.joiners = collect.otlp_collectors(self.config)
        host, port = sockets[0][0].getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        bound = replace(
            self.config, server=replace(self.config.server, listen=address)
        )  # port 0 is a question
        self.app = create_app(bound, self.store, otlp=self._receiver(), reload=self.reload)
        for one, only_otlp in sockets:
            self._listen(one, only_otlp=only_otlp)
        threading.Thread(target=self._begin_first, name="begin-work", daemon=True).start()
        return f"http://{address}"

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

    def _receiver(self) -> Any:
        """What takes pushed spans: the joiner of the first cluster."""
        return self.joiners[0] if self.joiners else None

    def _begin_first(self) -> None:
        time.sleep(_FIRST_PAGE)
        with self._turn:
            if not self._ended:
                self._begin_work()
                tune_collector()

    def _begin_work(self) -> None:
        try:
            collectors = collect.build(self.config, self.joiners)
            self._watching = collect.Watching(self.config, self.store, collectors)
            self._watching.start()
            self._embedded = Embedded(create_celery(self.config, self.store, collectors))
            self._embedded.start()
        except Exception:
            log.exception("the background work could not begin; pages show what the store holds")

    def reload(self) -> None:
        """Read the configuration again; a bad one changes nothing and says why. Raises ConfigError."""
        with self._turn:
            config = self._reread()
            if fixed := [name for name in _FIXED if getattr(config, name) != getattr(self.config, name)]:
                log.warning("restart to apply changes of: %s", ", ".join(fixed))
            self._stop_work()
            before = [(one.name, one.traces) for one in self.config.clusters]
            if [(one.name, one.traces) for one in config.clusters] != before:
                self.joiners = collect.otlp_collectors(config)
            self.config = config
            parts = self.app.extensions["quarterdeck"]
            parts.config, parts.otlp = config, self._receiver()
            self._begin_work()
        log.info(
            "configuration reloaded; clusters: %s", ", ".join(one.name for one in config.clusters) or "none"
        )

    def _stop_work(self) -> None:
        if self._embedded is not None:
            self._embedded.stop()
        if self._watching is not None:
            self._watching.stop()
        self._embedded = self._watching = None

    def stop(self) -> None:
        """End everything; what was being written is finished first."""
        self._ended = True
        self.app.extensions["quarterdeck"].live.close()
        for server in self._servers:
            server.shutdown()
            server.server_close()
        with self._turn:
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
    config: Config, *, reread: Callable[[], Config] | None = None, moments: Moments | None = None
) -> int:
    """Run everything in one process until a signal ends it; `reread` answers the configuration as it is now."""
    moments = moments or Moments()
    process = Serve(config, reread=reread)
    stopper = Stopper(reload=(lambda: _try(process.reload)) if reread else None)
    stopper.install()
    address = process.start()
    moments.before(address, process.store)
    print("\n".join([f"Listening on {address}", *_setup(process.store, address)]), flush=True)  # noqa: T201 - the contract
    moments.after()
    stopper.wait()
    process.stop()
    return 0


def _setup(store: Store, address: str) -> list[str]:
    """While nobody can sign in: the way to make the first admin. Each start makes the code before it void."""
    with store.begin() as session:
        if users.count(session):
            return []
        code = settings.new_setup_code(session)
    return [f"No user exists yet. Make the first one at {address}/setup with the code {code}"]


def _try(step: Callable[[], None]) -> None:
    try:
        step()
    except QuarterdeckError as error:
        log.error(
            "the configuration was not reloaded, nothing changed: %s", "; ".join(str(error).splitlines())
        )
