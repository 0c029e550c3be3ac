"""A site on a real port, and the socket of a browser tab."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import websocket
from werkzeug.serving import make_server

from tests.support.web import Site

OURS = "http://127.0.0.1:8080"


@contextmanager
def served(site: Site) -> Iterator[str]:
    """The site on a free port of 127.0.0.1; its address."""
    server = make_server("127.0.0.1", 0, site.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        site.parts.live.close()
        server.shutdown()
        server.server_close()
        thread.join(5)


class NotConnected(Exception):
    """The socket was refused, by the gate or by the connect handler."""


class Tab:
    """A browser tab's socket: Socket.IO protocol 5 over one WebSocket, read only when asked to."""

    def __init__(self, address: str, secret: str | None, *, origin: str = OURS, **headers: str) -> None:
        sent = dict(headers) | ({} if secret is None else {"Cookie": f"qd_dev={secret}"})
        url = address.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
        try:
            self._socket = websocket.create_connection(url, header=sent, origin=origin, timeout=10)
        except websocket.WebSocketBadStatusException as error:
            raise NotConnected(str(error)) from error
        assert self._socket.recv().startswith("0")
        self._socket.send("40")
        self._events: list[tuple[str, Any]] = []
        if not self._packet("40", "44").startswith("40"):
            self.close()
            raise NotConnected("refused by the connect handler")

    def next(self) -> tuple[str, Any]:
        """The next event and its body."""
        return self._events.pop(0) if self._events else _event(self._packet("42"))

    def watch(self, *topics: str) -> list[str]:
        """Say what is shown; the topics that were denied."""
        denied: list[str] = self.call("watch", {"topics": list(topics)})["denied"]
        return denied

    def call(self, event: str, body: object) -> Any:
        """Send any event and wait for its acknowledgement."""
        self.send(event, body, prefix="427")
        return orjson.loads(self._packet("437")[3:])[0]

    def send(self, event: str, body: object, *, prefix: str = "42") -> None:
        """Send any event."""
        self._socket.send(prefix + orjson.dumps([event, body]).decode())

    def ended(self) -> bool:
        """Whether the server has closed it."""
        try:
            return self._packet("41").startswith("41")
        except (websocket.WebSocketConnectionClosedException, ConnectionError):
            return True
        finally:
            self.close()

    def close(self) -> None:
        """Gone without a word, as tabs go."""
        self._socket.shutdown()

    def _packet(self, *wanted: str) -> str:
        """The next packet of these kinds; events on the way are kept for `next`."""
        while True:
            packet = self._socket.recv()
            text = packet.decode() if isinstance(packet, bytes) else packet
            if text.startswith(wanted):
                return text
            if text == "2":
                self._socket.send("3")
            elif text.startswith("42"):
                self._events.append(_event(text))
            elif not text:
                raise ConnectionError("the socket was closed")


def _event(packet: str) -> tuple[str, Any]:
    name, body = orjson.loads(packet[2:])
    return name, body
