"""Makes the application: the only module that knows every part."""

from __future__ import annotations

import ctypes
import gc
import logging
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app import api, clock, live, pages, paths
from app.api import probes
from app.config import Config, Secret
from app.errors import ConfigError, Problem
from app.pages import errors
from app.store.engine import Store
from app.understand.freshness import patience
from app.web import assets, cookies, origin, requests, shell
from app.web.accounts import Accounts
from app.web.diffs import Diffs
from app.web.documents import Documents
from app.web.limits import Limits
from app.web.metrics import Metrics
from app.web.reader import Reader
from app.web.services import Services
from app.web.traces import Traces
from collectors.base import Collector

log = logging.getLogger("quarterdeck.factory")

# M_ARENA_MAX, M_MMAP_THRESHOLD (bytes; fixed, it grows by itself otherwise) and M_TRIM_THRESHOLD of malloc.h
_MALLOC = {-8: 2, -3: 1 << 19, -1: 1 << 20}
MAX_BODY_BYTES = 1 << 20  # requests of browsers and API; OTLP raises it for its own view


def create_app(
    config: Config,
    store: Store,
    *,
    otlp: Any = None,
    reload: Callable[[], None] | None = None,
    monotonic: Callable[[], float] = clock.monotonic,
    blueprints: Sequence[str] | None = None,
) -> Flask:
    """The web application over a migrated store.

    `otlp` is the receiver whose spans this process joins; `reload` reads the configuration again;
    `monotonic` drives limits and caches; `blueprints` (dotted `module:name`) replaces the lists of
    `app.pages` and `app.api`.
    """
    app = Flask("quarterdeck", root_path=str(paths.assets()), static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["MAX_FORM_MEMORY_SIZE"] = MAX_BODY_BYTES
    app.url_map.merge_slashes = False  # `//path` is nothing, instead of a redirect that repeats it
    parts = _services(config, store, otlp=otlp, reload=reload, monotonic=monotonic)
    app.extensions["quarterdeck"] = parts
    shell.install(app)
    requests.install(app)
    errors.install(app)
    for dotted in blueprints if blueprints is not None else (*pages.BLUEPRINTS, *api.BLUEPRINTS):
        app.register_blueprint(_load(dotted))
    probes.register_gauges(parts)
    _refuse_undeclared(app)
    _wrap(app, parts)
    return app


def create_celery(config: Config, store: Store, collectors: Sequence[Collector] = ()) -> Any:
    """The Celery application with its timetable; what the tasks work on hangs on it as `work`."""
    from celery import Celery

    from app import tasks

    embedded = config.broker.url.startswith("memory:")
    app = Celery("quarterdeck", broker="memory://localhost" if embedded else config.broker.url)
    app.set_default()  # what threads of the worker find as the current application
    app.conf.update(
        task_ignore_result=True,
        task_default_queue="collect",
        task_routes={f"{queue}.*": {"queue": queue} for queue in ("collect", "evaluate", "act")},
        task_acks_late=not embedded,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        # memory:// polls; Redis blocks until there is something (docs/ARCHITECTURE.md, Tasks)
        broker_transport_options={"polling_interval": 0.02} if embedded else {},
        beat_schedule=tasks.schedule(config.clusters),
        timezone="UTC",
    )
    app.work = tasks.Work(config, store, tuple(collectors))
    return app


def tune_collector() -> None:
    """Take everything made so far out of the garbage collector's sight and let it look less often.

    Called once, when all is imported and wired and before any fork (measured: PERFORMANCE, section 14).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def tune_allocator() -> None:
    """Keep glibc from hoarding memory: two arenas for all threads, and columns of a megabyte each mapped apart.

    By its defaults every thread gets an arena, and arrays of changing size that are freed leave holes in it: the
    process that watched 1,000 services passed 550 MB within a quarter of an hour, and stays at 240 MB with these
    three settings (docs/performance.md). Called before threads begin; elsewhere than on glibc it does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for setting, value in _MALLOC.items():
            mallopt(setting, value)


def _services(
    config: Config,
    store: Store,
    *,
    otlp: Any,
    reload: Callable[[], None] | None,
    monotonic: Callable[[], float],
) -> Services:
    reader = Reader(store, patience=patience(config.clusters), monotonic=monotonic)
    return Services(
        config=config,
        store=store,
        reader=reader,
        accounts=Accounts(store, _key(config), monotonic=monotonic),
        limits=Limits(monotonic=monotonic),
        documents=Documents(reader, store, monotonic=monotonic),
        traces=Traces(store),
        diffs=Diffs(reader, store),
        metrics=Metrics(),
        origins=origin.allowed_origins(config.server),
        build=assets.build_id(),
        version=_version(),
        started=clock.now(),
        otlp=otlp,
        reload=reload,
    )


def _key(config: Config) -> Secret:
    if len(config.secret_key.reveal()) < 32:
        raise ConfigError([Problem("server.secret_key", "is shorter than 32 characters")])
    return config.secret_key


def _version() -> str:
    try:
        return version("quarterdeck")
    except PackageNotFoundError:
        return "0+unknown"


def _load(dotted: str) -> Any:
    module, _, name = dotted.partition(":")
    return getattr(import_module(module), name or "blueprint")


def _refuse_undeclared(app: Flask) -> None:
    """A route that forgot its permission is refused at every request; say so at the start, too."""
    for endpoint, view in app.view_functions.items():
        if getattr(view, "declared", None) is None:
            log.error("the route %s declares no permission and will refuse everybody", endpoint)


def _wrap(app: Flask, parts: Services) -> None:
    """Socket.IO inside, the gate before it, the proxies' headers outermost."""
    secure = cookies.is_https(parts.config)
    parts.live = live.install(app, parts)
    inner = origin.SocketGate(app.wsgi_app, parts.origins, secure=secure)
    hops = parts.config.server.trusted_proxies
    app.wsgi_app = ProxyFix(inner, x_for=hops, x_proto=hops, x_host=0) if hops else inner  # type: ignore[method-assign]
