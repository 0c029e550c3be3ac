"""Sockets of the simulated API: one thread a connection, TLS recognised by its first byte, chunked streams."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from demo.kube_access import User
from demo.kube_certificate import Certificate
from demo.kube_request import Answer, Request

UserOf = Callable[[str | None], User]
Responder = Callable[[Callable[[UserOf], Request]], Answer]
TLS_HANDSHAKE = b"\x16"
LARGEST_BODY = 3 * 1024 * 1024  # what the API server accepts
IDLE_SECONDS = 300.0


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    respond: Responder
    context: ssl.SSLContext
    stopping: threading.Event

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        """Take the first byte as the sign of TLS."""
        self.request.settimeout(IDLE_SECONDS)
        if self.request.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        """Close quietly."""
        try:
            super().finish()
        finally:
            self.request.close()

    def _handle(self) -> None:
        body = self._body()
        if body is None:
            return
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}

        def request_of(user_of: UserOf) -> Request:
            user = user_of(headers.get("authorization"))
            return Request(self.command, url.path, query, headers, body, user)

        self._send(self.server.respond(request_of))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = _handle  # noqa: N815

    def _body(self) -> bytes | None:
        text = self.headers.get("Content-Length") or "0"
        length = int(text) if text.isdigit() else -1
        if not 0 <= length <= LARGEST_BODY:
            self.send_error(400 if length < 0 else 413)
            self.close_connection = True
            return None
        return self.rfile.read(length) if length else b""

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.media_type)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-cache, private")
        if answer.stream is not None:
            self._stream(answer)
            return
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def _stream(self, answer: Answer) -> None:
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        assert answer.stream is not None
        stream: Any = answer.stream
        try:
            for lines in stream:
                if self.server.stopping.is_set():
                    break
                if lines:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(lines), lines))
                    self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        finally:
            stream.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Requests are not logged."""


class Server:
    """A running API."""

    def __init__(self, respond: Responder, host: str, port: int, names: tuple[str, ...] = ()) -> None:
        self._listener = _Listener((host, port), _Handler)
        certificate = Certificate.for_names(host, "localhost", "127.0.0.1", socket.gethostname(), *names)
        self._listener.respond = respond
        self._listener.context = certificate.context()
        self._listener.stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(0.2,), name="kube-api", daemon=True
        )
        self.ca = certificate.pem
        self.host, self.port = host, int(self._listener.server_address[1])

    @property
    def url(self) -> str:
        """The address that kubectl needs; its certificate is vouched for by `ca`."""
        return f"https://{self.host}:{self.port}"

    @property
    def http_url(self) -> str:
        """The same without TLS."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Begin to accept connections."""
        self._thread.start()

    def stop(self) -> None:
        """Stop accepting; streams end within a second."""
        self._listener.stopping.set()
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join(5)
