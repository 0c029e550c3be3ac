"""The simulator's HTTP server: exporters, http_sd, the control address and the truth, on one port."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from demo.control import Control
from demo.metrics import Exporter, NoSuchPod

_LOG = logging.getLogger("quarterdeck.demo.server")
_HOST = re.compile(r"[A-Za-z0-9.\-]+(:\d+)?|\[[0-9a-fA-F:]+\](:\d+)?")
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_JSON = "application/json"
_MOST_BODY = 4096

Answer = tuple[int, str, bytes]


class FleetServer(ThreadingHTTPServer):
    """Serves one fleet; `serve_forever` in a thread by `start`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], exporter: Exporter, control: Control) -> None:
        super().__init__(address, _Handler)
        self.exporter = exporter
        self.control = control

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that went away are no news; anything else is told once per request."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            _LOG.exception("a request from %s failed", client_address)

    def start(self) -> None:
        """Serve in a daemon thread."""
        threading.Thread(target=self.serve_forever, name="fleet-http", daemon=True).start()

    def answer(self, method: str, path: str, host: str, body: bytes) -> Answer:
        """Route one request. `host` is the address the client used."""
        path = path.partition("?")[0]
        if method == "POST":
            return self._control(path, lambda: self.control.post(body))
        if path == "/scenario":
            return self._control(path, self.control.get)
        if path == "/truth":
            return 200, _JSON, json.dumps(self.exporter.truth()).encode()
        if path == "/sd":
            return 200, _JSON, json.dumps(self.exporter.targets(host)).encode()
        if path == "/-/healthy":
            return 200, "text/plain", b"ok\n"
        try:
            return 200, _TEXT, self._page(path).encode()
        except NoSuchPod:
            return 503, "text/plain", b"nothing answers here\n"

    def _control(self, path: str, act: Callable[[], tuple[int, dict[str, Any]]]) -> Answer:
        if path != "/scenario":
            return 404, _JSON, b'{"error": "only /scenario takes requests"}\n'
        status, said = act()
        return status, _JSON, json.dumps(said).encode() + b"\n"

    def _page(self, path: str) -> str:
        match path.strip("/").split("/"):
            case ["pods", namespace, pod, "metrics"]:
                return self.exporter.pod(namespace, pod)
            case ["nodes", node, "metrics"]:
                return self.exporter.node(node)
            case ["broker", "metrics"]:
                return self.exporter.broker()
            case [kind, "metrics"]:
                return self.exporter.evidence(kind)
        raise NoSuchPod(path)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 90.0
    wbufsize = (
        -1
    )  # head and body leave together: two small writes would wait for each other's acknowledgement
    disable_nagle_algorithm = True
    server: FleetServer

    def do_GET(self) -> None:
        """Pages and the state of the scenario."""
        self._reply(self.server.answer("GET", self.path, self._host(), b""))

    def do_POST(self) -> None:
        """The control address: JSON only and no browser's Origin, so that no foreign page can press it."""
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _MOST_BODY:
            self.close_connection = True
            return self._reply((413, _JSON, b'{"error": "body too large"}\n'))
        body = self.rfile.read(int(length))
        if self.headers.get("Origin"):
            return self._reply((403, _JSON, b'{"error": "not from a browser"}\n'))
        if self.headers.get_content_type() != _JSON:
            return self._reply((415, _JSON, b'{"error": "application/json is wanted"}\n'))
        return self._reply(self.server.answer("POST", self.path, self._host(), body))

    def _host(self) -> str:
        """The address the client used: Prometheus scrapes where it found us."""
        said = self.headers.get("Host", "")
        name, port = self.server.server_address[:2]
        return said if _HOST.fullmatch(said) else f"{name!s}:{port}"

    def _reply(self, answer: Answer) -> None:
        status, kind, body = answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Scrapes are not worth a line each."""
        _LOG.debug(format, *args)
