"""A list and watch that survives: pages, then the stream from the list's position, for one kind in one scope.

After a 410 it lists again and what is gone is gone; after any other fault it waits, 1 s to 60 s with jitter.
A bookmark moves the position and nothing else. An object that cannot be read is counted and left out.
Reference: actions 18, observed K1 to K25.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from app import clock
from app.errors import SourceError, SourceNonsense, SourceUnavailable
from collectors.kube_api import Expired, Forbidden, KubeApi, NotServed, refusal
from collectors.kube_kinds import Key, Kind, Listed, read_object, read_page
from collectors.kube_protocol import LINE, POSITION, Line

log = logging.getLogger("quarterdeck.collect")

PAGE = 500
SHORTEST_STREAM, LONGEST_STREAM = 240, 360
IDLE_SECONDS = 75.0  # bookmarks come every 59 to 61 s
EVENTS_KEPT = 5_000
_GRACE = 30.0
_UNREADABLE = (msgspec.DecodeError, ValueError, TypeError)


@dataclass(frozen=True, slots=True)
class Pace:
    """Waits of the loop, in seconds; a test shortens them."""

    first: float = 1.0
    longest: float = 60.0
    idle: float = IDLE_SECONDS
    stream: tuple[int, int] = (SHORTEST_STREAM, LONGEST_STREAM)

    def delay(self, failures: int, draw: random.Random) -> float:
        """How long to wait after so many failures in a row: doubling, half of it by chance."""
        full = min(self.longest, self.first * 2.0 ** min(failures - 1, 10))
        return full * draw.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a watch stands: last word heard, whether it ever listed everything, what is wrong, objects left out."""

    kind: str
    namespace: str
    heard: datetime | None
    synced: bool
    error: SourceError | None
    failures: int
    rejects: int
    version: int


class KindWatch:
    """One kind in one namespace ("" = all): run by one thread, read by others."""

    def __init__(
        self,
        api: KubeApi,
        kind: Kind,
        namespace: str = "",
        *,
        pace: Pace | None = None,
        draw: random.Random | None = None,
        on_list: Callable[[KindWatch, bool], None] | None = None,
    ) -> None:
        self.kind = kind
        self.namespace = namespace
        self._api = api
        self._pace = pace or Pace()
        self._draw = draw or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._on_list = on_list
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._response: Any = None
        self._objects: dict[Key, Any] = {}
        self._position = ""
        self._heard: datetime | None = None
        self._synced = False
        self._error: SourceError | None = None
        self._failures = self._rejects = self._version = 0

    def objects(self) -> tuple[int, list[Any]]:
        """What is known now, with a number that changes whenever it does."""
        with self._guard:
            return self._version, list(self._objects.values())

    def standing(self) -> Standing:
        """How the watch stands."""
        with self._guard:
            return Standing(
                self.kind.name,
                self.namespace,
                self._heard,
                self._synced,
                self._error,
                self._failures,
                self._rejects,
                self._version,
            )

    def run(self) -> None:
        """List and watch until `stop`. Raises Forbidden when the kind may not be listed in this scope, nothing else."""
        while not self._stopping.is_set():
            began = clock.monotonic()
            try:
                self._round()
                if clock.monotonic() - began > self._pace.first:
                    continue  # the server ended the stream in its own time
                self._failed(SourceUnavailable(f"{self._api.who} ended the watch at once"))
            except Expired:
                self._position = ""
                self._failed(None)
            except Forbidden as error:
                self._failed(error)
                if not self._synced:
                    raise
            except SourceError as error:
                self._failed(error)
            except Exception as error:  # a fault of ours must not end the watch for ever
                log.exception("watching %s failed", self.kind.name)
                self._failed(SourceNonsense(f"{self._api.who}: {self.kind.plural}: {error}"))
            self.rest()

    def rest(self) -> None:
        """Wait as after a failure; ends early with `stop`."""
        self._stopping.wait(self._wait_seconds())

    def stop(self) -> None:
        """End the loop; a stream that is being read is cut."""
        self._stopping.set()
        with self._guard:
            response = self._response
        if response is not None:
            with contextlib.suppress(OSError, ValueError, RuntimeError):  # it may have ended already
                response.shutdown()

    def _wait_seconds(self) -> float:
        if isinstance(self._error, NotServed):
            return self._pace.longest
        return self._pace.delay(max(self._failures, 1), self._draw)

    def _failed(self, error: SourceError | None) -> None:
        """Count a failure; None is a position that grew old, which is no fault unless it repeats."""
        with self._guard:
            self._failures += 1
            self._error = error or self._error
        log.debug("%s %s: %s", self.kind.plural, self.namespace, error or "position expired")

    def _round(self) -> None:
        if not self._position:
            self._list()
        self._watch()

    def _list(self) -> None:
        found: dict[Key, Any] = {}
        rejects, token, position = 0, "", ""
        while True:
            page = self._page(token)
            found.update(page.objects)
            rejects += page.rejects
            position = page.resource_version
            token = page.next_page
            if not token or self._stopping.is_set():
                break
        with self._guard:
            if found != self._objects:
                self._objects = found
                self._version += 1
            self._rejects = rejects
            self._position = position
            self._synced = True
        self._word()
        if self._on_list is not None:
            self._on_list(self, not found)

    def _page(self, token: str) -> Listed:
        params = {"limit": str(PAGE)} | ({"continue": token} if token else {})
        body = self._api.get(self.kind.path(self.namespace), params)
        try:
            return read_page(self.kind, body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SourceNonsense(
                f"{self._api.who} answered a list of {self.kind.plural} that is none"
            ) from error

    def _watch(self) -> None:
        seconds = self._draw.randint(*self._pace.stream)
        params = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
            "resourceVersion": self._position,
        }
        idle = self._pace.idle if self.kind.bookmarks else seconds + _GRACE
        with self._api.stream(self.kind.path(self.namespace), params, idle=idle) as response:
            with self._guard:
                self._response = response
            self._word()
            try:
                for raw in self._api.lines(response) if not self._stopping.is_set() else ():
                    self._take(self._line(raw))
            finally:
                with self._guard:
                    self._response = None

    def _line(self, raw: bytes) -> Line:
        try:
            return LINE.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SourceNonsense(f"{self._api.who} sent a line that is no watch event") from error

    def _take(self, line: Line) -> None:
        """One event into what is known."""
        if line.type == "ERROR":
            status = bytes(line.object)
            code = msgspec.json.decode(status, type=_Code).code
            raise refusal(self._api.who, code or 500, status)
        try:
            if line.type in {"ADDED", "MODIFIED"}:
                key, made, position = read_object(self.kind, line.object)
                self._keep(key, made)
            else:
                place = POSITION.decode(line.object).metadata
                position = place.resource_version
                if line.type == "DELETED":
                    self._drop((place.namespace, place.name))
        except _UNREADABLE as error:
            self._reject(str(error))
            return
        self._position = position or self._position
        self._word()

    def _keep(self, key: Key, made: Any) -> None:
        with self._guard:
            if self._objects.get(key) == made:
                return
            self._objects[key] = made
            self._version += 1
            if self.kind.name == "Event" and len(self._objects) > EVENTS_KEPT:
                del self._objects[next(iter(self._objects))]

    def _reject(self, why: str) -> None:
        with self._guard:
            self._rejects += 1
        log.debug("one of %s cannot be read: %s", self.kind.plural, why)

    def _drop(self, key: Key) -> None:
        with self._guard:
            if self._objects.pop(key, None) is not None:
                self._version += 1

    def _word(self) -> None:
        """The server spoke: fresh, and nothing is wrong."""
        with self._guard:
            self._heard = clock.now()
            self._error = None
            self._failures = 0


class _Code(msgspec.Struct):
    code: int = 0
