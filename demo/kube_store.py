"""Objects, their resourceVersions, and what happened lately: what etcd and the watch cache are to a cluster.

Objects are never changed in place: a write files a new one, so a reader may keep what it got. The caller of
every method holds `Store.lock`, reading of a finished `Entry` aside.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

import orjson

from demo.kube_kinds import KINDS, Key, Kind, Obj, controller_of, key_of

HISTORY_SECONDS = 300.0  # etcd is compacted every five minutes by default
HISTORY_LENGTH = 50_000


class Entry:
    """An object as filed, with its JSON made once, when first asked for."""

    __slots__ = ("_encoded", "key", "kind", "obj", "rv")

    def __init__(self, kind: Kind, obj: Obj, rv: int) -> None:
        self.kind = kind
        self.obj = obj
        self.key = key_of(obj)
        self.rv = rv
        self._encoded: bytes | None = None

    @property
    def item(self) -> bytes:
        """JSON without kind and apiVersion, as items of a list are."""
        if self._encoded is None:
            self._encoded = orjson.dumps(self.obj)
        return self._encoded

    @property
    def whole(self) -> bytes:
        """JSON with kind and apiVersion in front."""
        head = f'{{"kind":"{self.kind.kind}","apiVersion":"{self.kind.api_version}",'
        return head.encode() + self.item[1:]


@dataclass(frozen=True, slots=True)
class Change:
    """One write: `previous` is None for ADDED; for DELETED `entry` is the last state, with a new position."""

    type: str
    entry: Entry
    previous: Entry | None
    at: float


class Gone(Exception):
    """A position older than the history kept."""

    def __init__(self, oldest: int) -> None:
        self.oldest = oldest
        super().__init__(f"history begins at {oldest}")


class Shelf:
    """All objects of one kind, in name order, and their recent changes."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.entries: dict[Key, Entry] = {}
        self.keys: list[Key] = []
        self.history: deque[Change] = deque()
        self.compacted = 0
        self.followers: list[SimpleQueue[Change]] = []

    def file(self, change: Change) -> None:
        """Apply a change and tell everyone who follows this kind."""
        key = change.entry.key
        if change.type == "DELETED":
            del self.entries[key]
            del self.keys[bisect_left(self.keys, key)]
        else:
            if key not in self.entries:
                insort(self.keys, key)
            self.entries[key] = change.entry
        self.history.append(change)
        self.forget(change.at - HISTORY_SECONDS, HISTORY_LENGTH)
        for follower in self.followers:
            follower.put(change)

    def forget(self, before: float, length: int) -> None:
        """Drop history that is too old or too long."""
        while self.history and (self.history[0].at < before or len(self.history) > length):
            self.compacted = self.history.popleft().entry.rv

    def present(self, namespace: str) -> list[Entry]:
        """Entries of a namespace ("" for all), in name order."""
        if not namespace:
            return [self.entries[key] for key in self.keys]
        start, end = bisect_left(self.keys, (namespace, "")), bisect_left(self.keys, (namespace + "\x00", ""))
        return [self.entries[key] for key in self.keys[start:end]]

    def at(self, rv: int, namespace: str) -> list[Entry]:
        """Entries as they were at a position. Raises Gone when the history does not reach back that far."""
        if rv < self.compacted:
            raise Gone(self.compacted)
        state = {entry.key: entry for entry in self.present(namespace)}
        for change in reversed(self.history):
            if change.entry.rv <= rv:
                break
            if namespace and change.entry.key[0] != namespace:
                continue
            if change.previous is None:
                state.pop(change.entry.key, None)
            else:
                state[change.entry.key] = change.previous
        return [state[key] for key in sorted(state)]

    def since(self, rv: int) -> list[Change]:
        """Changes after a position. Raises Gone when the history does not reach back that far."""
        if rv < self.compacted:
            raise Gone(self.compacted)
        newer: list[Change] = []
        for change in reversed(self.history):
            if change.entry.rv <= rv:
                break
            newer.append(change)
        return newer[::-1]


class Store:
    """Every shelf, one counter of resourceVersions, one lock, and an index from owners to what they own."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.lock = threading.RLock()
        self.rv = 1
        self.clock = clock
        self.shelves = {kind: Shelf(kind) for kind in KINDS}
        self.reactions: list[Callable[[Change], None]] = []
        self._owned: dict[tuple[str, Kind], dict[Key, None]] = {}

    def get(self, kind: Kind, key: Key) -> Obj | None:
        """The object as filed, or None. It must not be changed."""
        entry = self.shelves[kind].entries.get(key)
        return entry.obj if entry else None

    def entry(self, kind: Kind, key: Key) -> Entry | None:
        """The entry of an object, or None."""
        return self.shelves[kind].entries.get(key)

    def objects(self, kind: Kind, namespace: str = "") -> list[Obj]:
        """All objects of a kind, in name order."""
        return [entry.obj for entry in self.shelves[kind].present(namespace)]

    def owned(self, uid: str, kind: Kind) -> list[Obj]:
        """Objects of a kind whose controller has this uid, oldest first."""
        entries = self.shelves[kind].entries
        return [entries[key].obj for key in self._owned.get((uid, kind), ())]

    def put(self, kind: Kind, obj: Obj) -> Obj:
        """File an object, new or changed; gives it back with its new resourceVersion."""
        self.rv += 1
        filed = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.rv)}}
        entry = Entry(kind, filed, self.rv)
        previous = self.shelves[kind].entries.get(entry.key)
        if previous is None:
            self._adopt(kind, entry)
        self._tell(Change("MODIFIED" if previous else "ADDED", entry, previous, self.clock()))
        return filed

    def delete(self, kind: Kind, key: Key) -> Obj | None:
        """Take an object away; gives its last state, or None when it was gone already."""
        previous = self.shelves[kind].entries.get(key)
        if previous is None:
            return None
        self.rv += 1
        meta = {**previous.obj["metadata"], "resourceVersion": str(self.rv)}
        entry = Entry(kind, {**previous.obj, "metadata": meta}, self.rv)
        owner = controller_of(entry.obj)
        if owner:
            self._owned.get((owner["uid"], kind), {}).pop(key, None)
        self._tell(Change("DELETED", entry, previous, self.clock()))
        return entry.obj

    def compact(self) -> None:
        """Forget all history: positions and continue tokens handed out before now answer 410."""
        for shelf in self.shelves.values():
            shelf.history.clear()
            shelf.compacted = self.rv

    def _adopt(self, kind: Kind, entry: Entry) -> None:
        owner = controller_of(entry.obj)
        if owner:
            self._owned.setdefault((owner["uid"], kind), {})[entry.key] = None

    def _tell(self, change: Change) -> None:
        self.shelves[change.entry.kind].file(change)
        for react in self.reactions:
            react(change)
