"""The two ways requests are served: a threaded server inside `serve`, gunicorn with gevent for `web`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

Environ = dict[str, Any]
WsgiApp = Callable[[Environ, Any], Iterable[bytes]]

MOST_CONNECTIONS = 600  # each holds one thread; docs/ARCHITECTURE.md, Push
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


class _Handler(WSGIRequestHandler):
    """HTTP/1.1 with an idle limit; says neither its library nor its version."""

    timeout = 75.0
    protocol_version = "HTTP/1.1"

    def version_string(self) -> str:
        return "quarterdeck"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Requests are counted by the metrics, not written line by line."""


class _Server(ThreadedWSGIServer):
    """One thread a connection, up to a limit; beyond it the answer is 503 with Retry-After."""

    def __init__(self, bound: socket.socket, app: WsgiApp) -> None:
        host, port = bound.getsockname()[:2]
        super().__init__(host, port, app, handler=_Handler, fd=bound.fileno())
        bound.close()
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            request.settimeout(1.0)
            request.sendall(_BUSY)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()


def threaded_server(bound: socket.socket, app: WsgiApp, *, only_otlp: bool = False) -> _Server:
    """A server on an already bound socket, which it takes over; `serve_forever` and `shutdown` as usual."""
    return _Server(bound, _only_traces(app) if only_otlp else app)


def _only_traces(app: WsgiApp) -> WsgiApp:
    """The application, reduced to the trace endpoint."""

    def reduced(environ: Environ, start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == "/v1/traces":
            return app(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return []

    return reduced


def run_gunicorn(address: str, make_app: Callable[[], WsgiApp]) -> int:
    """Serve under gunicorn with one gevent worker until a signal ends it; `make_app` runs in the worker."""
    from gunicorn.app.base import BaseApplication

    class Web(BaseApplication):  # type: ignore[misc]
        """gunicorn's own embedding point."""

        def load_config(self) -> None:
            options = {
                "bind": address,
                "workers": 1,
                "worker_class": "gevent",
                "worker_connections": 2000,
                "keepalive": 30,
                "timeout": 60,
                "graceful_timeout": 8,
                "accesslog": None,
                "loglevel": "warning",
                "proc_name": "quarterdeck web",
                "control_socket_disable": True,  # it would lie in the home directory, which may be read only
                "when_ready": _say_ready,
            }
            for name, value in options.items():
                if name in self.cfg.settings:  # older releases know no control socket
                    self.cfg.set(name, value)

        def load(self) -> WsgiApp:
            return make_app()

    Web().run()
    return 0


def _say_ready(server: Any) -> None:
    for listener in server.LISTENERS:
        print(f"Listening on {listener}", flush=True)  # noqa: T201 - the contract of the command
