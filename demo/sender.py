"""Sends export requests to an OTLP/HTTP address from a thread of its own, with back-off; never holds up the model."""

from __future__ import annotations

import gzip
import http.client
import logging
import queue
import threading
from collections.abc import Iterable
from urllib.parse import urlsplit

_LOG = logging.getLogger("quarterdeck.demo.sender")
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_TIMEOUT = 5.0
_MOST_WAITING = 64  # bodies; the oldest go first when the receiver is away
_RETRY = (429, 502, 503, 504)


class Sender:
    """One address (`http://host:port/v1/traces`). `sent` and `dropped` count bodies."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._path = parts.path or "/v1/traces"
        self._waiting: queue.Queue[bytes] = queue.Queue(_MOST_WAITING)
        self._stop = threading.Event()
        self._up = True
        self.sent = 0
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="otlp-sender", daemon=True)
        self._thread.start()

    def offer(self, bodies: Iterable[bytes]) -> None:
        """Queue bodies (uncompressed protobuf); the oldest are dropped when too many wait."""
        for body in bodies:
            while True:
                try:
                    self._waiting.put_nowait(body)
                    break
                except queue.Full:
                    self._drop()

    def close(self) -> None:
        """End the thread; what waits is lost."""
        self._stop.set()
        self._thread.join(_TIMEOUT + 1.0)

    def _drop(self) -> None:
        try:
            self._waiting.get_nowait()
            self.dropped += 1
        except queue.Empty:
            return

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                body = self._waiting.get(timeout=0.5)
            except queue.Empty:
                continue
            self._deliver(gzip.compress(body, 1))

    def _deliver(self, body: bytes) -> None:
        """Try until it is taken, refused for good, or the demo ends."""
        pause = _FIRST_PAUSE
        while not self._stop.is_set():
            status, wait = self._post(body)
            if 200 <= status < 300:
                self.sent += 1
                self._said(up=True)
                return
            if status and status not in _RETRY:
                self.dropped += 1
                _LOG.warning("traces refused with %s by %s:%s", status, self._host, self._port)
                return
            self._said(up=False)
            self._stop.wait(max(pause, wait))
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _post(self, body: bytes) -> tuple[int, float]:
        """Status (0 = nobody answered) and the seconds of Retry-After."""
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
        try:
            connection.request("POST", self._path, body, headers)
            answer = connection.getresponse()
            answer.read()
            after = answer.headers.get("Retry-After", "0")
            return answer.status, min(float(after), _LONGEST_PAUSE) if after.isdigit() else 0.0
        except (OSError, http.client.HTTPException):
            return 0, 0.0
        finally:
            connection.close()

    def _said(self, *, up: bool) -> None:
        """One line when the receiver goes away, one when it is back."""
        if up != self._up:
            self._up = up
            _LOG.warning(
                "traces: %s:%s %s", self._host, self._port, "answers again" if up else "does not answer"
            )
