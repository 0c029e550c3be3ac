"""Socket.IO: tells browsers which topics went stale. It never carries data and no event acts.

Each process watches the store itself and tells its own clients, so several web processes need no agreement
about who speaks. Sessions are looked at again and again: what ended is disconnected.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

from flask import Flask, request

from app import clock
from app.errors import AccessError, StoreError
from app.store import topics
from app.web.access import Declared, Kind, Permission, Principal
from app.web.identify import anonymous, identify, peer
from app.web.services import Services
from app.web.slim import without

with without("aiohttp", "kafka", "redis", "requests", "valkey", "websocket", "zmq"):
    from flask_socketio import ConnectionRefusedError as Refused
    from flask_socketio import SocketIO

log = logging.getLogger("quarterdeck.live")

# What each event from a client needs; a test holds it equal to the registered handlers.
EVENTS: dict[str, Permission] = {
    "connect": Permission.READ,
    "watch": Permission.READ,
    "disconnect": Permission.PUBLIC,
}

# What watching a topic needs: exact names, and prefixes that end in a colon.
TOPICS: dict[str, Permission] = {
    "fleet": Permission.READ,
    "topology": Permission.READ,
    "sources": Permission.READ,
    "actions": Permission.READ,
    "changes": Permission.READ,
    "audit": Permission.READ,
    "service:": Permission.READ,
    "action:": Permission.READ,
}

POLL_SECONDS = 1.0
RECHECK_EVERY = 15  # polls
_MOST_TOPICS = 200
_LONGEST_TOPIC = 600
_TOPIC = re.compile(r"[^\x00-\x1f]+")


@dataclass(slots=True)
class Watcher:
    """One connected browser tab: who it is and what it shows."""

    principal: Principal
    topics: frozenset[str] = field(default_factory=frozenset)


class Live:
    """The sockets of this process. The poller runs only while somebody is connected."""

    def __init__(self, socketio: SocketIO, parts: Services) -> None:
        self._socketio = socketio
        self._parts = parts
        self._watchers: dict[str, Watcher] = {}
        self._lock = Lock()
        self._polling = False
        self._closed = Event()
        self._revision = 0
        self._down = False

    # -- events from clients -------------------------------------------------------------------------------

    def connect(self, auth: object = None) -> None:
        """A tab opens its socket: the session decides, as for a page. Raises Refused."""
        sid: str = request.sid  # type: ignore[attr-defined]  # Flask-SocketIO puts it there
        self._demand_room()
        try:
            principal = identify(Declared(EVENTS["connect"]))
        except AccessError as error:
            raise Refused("not signed in") from error
        if principal.kind is Kind.TOKEN or not principal.allows(EVENTS["connect"]):
            self._parts.metrics.count("socket_refused")
            raise Refused("not signed in")
        with self._lock:
            self._watchers[sid] = Watcher(principal)
        try:
            self._begin_polling()
        except StoreError as error:
            with self._lock:
                del self._watchers[sid]
            raise Refused("the store does not answer") from error
        self._send(sid, "hello", {"build": self._parts.build, "now": _iso_now()})

    def watch(self, body: object = None) -> dict[str, list[str]]:
        """The tab says what it shows, replacing what it said before; answers what it may not watch."""
        sid: str = request.sid  # type: ignore[attr-defined]
        watcher = self._watchers.get(sid)
        wanted = _topics_of(body)
        if watcher is None or not self._parts.limits.take("watch", sid).allowed:
            return {"denied": wanted}
        denied = [topic for topic in wanted if not may_watch(watcher.principal, topic)]
        watcher.topics = frozenset(wanted) - frozenset(denied)
        return {"denied": denied}

    def disconnect(self, _reason: object = None) -> None:
        """The tab is gone."""
        with self._lock:
            self._watchers.pop(request.sid, None)  # type: ignore[attr-defined]

    # -- events to clients ---------------------------------------------------------------------------------

    def disconnect_session(self, session: str, why: str) -> int:
        """End the sockets of one session (its hash); how many there were."""
        with self._lock:
            sids = [sid for sid, one in self._watchers.items() if one.principal.session == session]
        for sid in sids:
            self._say_bye(sid, why)
        return len(sids)

    def close(self) -> None:
        """Say good-bye to everybody and stop watching the store."""
        self._closed.set()
        for sid in list(self._watchers):
            self._say_bye(sid, "shutdown")

    def connected(self) -> int:
        """How many tabs are connected to this process."""
        return len(self._watchers)

    def tell_changes(self) -> int:
        """One round: read what changed since the last one, tell whom it concerns; how many were told."""
        with self._parts.store.reading() as session:
            newest, changed = topics.changed_since(session, self._revision)
        if newest == self._revision:
            return 0
        self._revision = newest
        self._parts.reader.forget()  # nobody may fetch an old answer after hearing that it is old
        return sum(self._tell(sid, watcher, changed) for sid, watcher in list(self._watchers.items()))

    def recheck(self) -> int:
        """Disconnect whose session ended, whose role changed, or who may no longer look; how many."""
        checked = [(sid, self._why_ended(one.principal)) for sid, one in list(self._watchers.items())]
        ended = [(sid, why) for sid, why in checked if why is not None]
        for sid, why in ended:
            self._say_bye(sid, why)
        return len(ended)

    # -- inside --------------------------------------------------------------------------------------------

    def _demand_room(self) -> None:
        if not self._parts.limits.take("socket", peer()).allowed:
            raise Refused("too many connections")

    def _tell(self, sid: str, watcher: Watcher, changed: Iterable[str]) -> bool:
        mine = sorted(watcher.topics.intersection(changed))
        if mine:
            self._send(sid, "stale", {"topics": mine, "rev": self._revision})
        return bool(mine)

    def _why_ended(self, principal: Principal) -> str | None:
        if principal.kind is Kind.USER:
            return self._parts.accounts.why_ended(principal)
        return None if anonymous(self._parts).allows(EVENTS["connect"]) else "signed-out"

    def _say_bye(self, sid: str, why: str) -> None:
        self._send(sid, "bye", {"why": why})
        with self._lock:
            self._watchers.pop(sid, None)
        self._socketio.server.disconnect(sid, ignore_queue=True)

    def _send(self, sid: str, event: str, body: dict[str, Any]) -> None:
        self._socketio.server.emit(event, body, to=sid, ignore_queue=True)

    def _begin_polling(self) -> None:
        with self._lock:
            if self._polling or self._closed.is_set():
                return
            self._polling = True
        try:
            with self._parts.store.reading() as session:
                self._revision, _ = topics.changed_since(session, self._revision)
        except BaseException:
            self._polling = False  # the next tab tries again
            raise
        self._socketio.start_background_task(self._poll)

    def _poll(self) -> None:
        rounds = 0
        while not self._closed.wait(POLL_SECONDS):
            with self._lock:
                if not self._watchers:
                    self._polling = False
                    return
            rounds += 1
            self._one_round(recheck=rounds % RECHECK_EVERY == 0)

    def _one_round(self, *, recheck: bool) -> None:
        try:
            self.tell_changes()
            if recheck:
                self.recheck()
        except StoreError as error:
            if not self._down:
                log.warning("live updates pause: %s", error)
            self._down = True
        except Exception:
            log.exception("a round of live updates failed")
        else:
            if self._down:
                log.info("live updates go on")
            self._down = False


def may_watch(principal: Principal, topic: str) -> bool:
    """Whether this caller may hear that a topic went stale; unknown topics are nobody's."""
    head, colon, rest = topic.partition(":")
    needed = TOPICS.get(head + colon)
    return needed is not None and bool(rest) == bool(colon) and principal.allows(needed)


def install(app: Flask, parts: Services) -> Live:
    """Put Socket.IO before the application and register the events."""
    socketio = SocketIO(
        app,
        async_mode=_async_mode(),
        cors_allowed_origins=parts.origins,
        manage_session=False,
        cors_credentials=False,
        max_http_buffer_size=65_536,
        ping_interval=25,
        ping_timeout=20,
    )
    live = Live(socketio, parts)
    for event in EVENTS:
        socketio.on_event(event, getattr(live, event))
    parts.metrics.gauge("quarterdeck_sockets", "Connected tabs.", lambda: [({}, float(live.connected()))])
    return live


def _async_mode() -> str:
    """gevent where its monkey patch is in force (the gunicorn worker at scale), else threads."""
    try:
        from gevent import monkey
    except ImportError:
        return "threading"
    return "gevent" if monkey.is_module_patched("socket") else "threading"


def _topics_of(body: object) -> list[str]:
    wanted = body.get("topics") if isinstance(body, dict) else None
    if not isinstance(wanted, list):
        return []
    sound = (one for one in wanted if isinstance(one, str) and len(one) <= _LONGEST_TOPIC)
    return list(dict.fromkeys(one for one in sound if _TOPIC.fullmatch(one)))[:_MOST_TOPICS]


def _iso_now() -> str:
    return clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
