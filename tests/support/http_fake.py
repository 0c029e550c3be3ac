"""The ground of the fakes: a small real HTTP server on 127.0.0.1 whose answers a test programs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """What the client sent; `params` are query and form together, last value wins."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


@dataclass(slots=True)
class Reply:
    """What the server says; an iterator as body is sent in pieces, then the connection ends."""

    status: int = 200
    body: bytes | Iterator[bytes] = b""
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


Script = Callable[[Request], Reply]


class HttpFake:
    """Listens from construction on; `requests` keeps what came; a context manager closes it."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Request] = []
        self._open = threading.Event()
        self._open.set()
        self._leaving = threading.Event()
        self._server = _start(self, 0)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def down(self) -> None:
        """Nobody listens any more."""
        self._leaving.set()
        self._open.set()
        self._server.shutdown()
        self._server.server_close()

    def up(self) -> None:
        """Listens again on the same port."""
        self._leaving.clear()
        self._server = _start(self, self.port)

    def hang(self) -> None:
        """Requests are taken and not answered until `release`."""
        self._open.clear()

    def release(self) -> None:
        """Answers what hangs."""
        self._open.set()

    def wait_open(self) -> bool:
        """For handlers: wait while hanging; whether to answer at all."""
        self._open.wait(30)
        return not self._leaving.is_set()

    def leaving(self, seconds: float) -> bool:
        """For bodies that stream: wait up to `seconds`; True when the server is going down."""
        return self._leaving.wait(seconds)

    def __enter__(self) -> HttpFake:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._leaving.is_set():
            self.down()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], fake: HttpFake
    ) -> None:
        self.fake = fake
        super().__init__(address, handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the body, a second write, waits for an acknowledgement
    server: _Server

    def log_message(self, *_args: object) -> None:
        """Silent."""

    def _serve(self) -> None:
        fake = self.server.fake
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        parts = urlsplit(self.path)
        params = {k: v[-1] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        if "urlencoded" in (self.headers.get("Content-Type") or ""):
            params |= {k: v[-1] for k, v in parse_qs(body.decode(), keep_blank_values=True).items()}
        headers = {k.lower(): v for k, v in self.headers.items()}
        request = Request(self.command, parts.path, params, headers, body)
        fake.requests.append(request)
        if not fake.wait_open():
            self.close_connection = True
            return
        self._send(fake.script(request))

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if isinstance(reply.body, bytes):
            if "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
            return
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()
        for piece in reply.body:
            self.wfile.write(piece)
            self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815


def _start(fake: HttpFake, port: int) -> _Server:
    server = _Server(("127.0.0.1", port), _Handler, fake)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server
