"""A bounded cache whose values are built once, however many threads ask at the same time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Value]):
    version: Hashable
    value: Value
    size: int


class Cache(Generic[Value]):
    """Least recently used first out; `most` bounds the sum of `size(value)` (by default the number of values).

    The key holds every input of the value but its version, the caller's visibility included. There is one
    value per key: a new version takes the place of the old one. Building happens outside the lock; who asks
    meanwhile waits for that build, and a failed build is not kept.
    """

    def __init__(self, most: int, *, size: Callable[[Any], int] = lambda _: 1) -> None:
        self._most = most
        self._size = size
        self._entries: OrderedDict[Hashable, _Entry[Value]] = OrderedDict()
        self._held = 0
        self._building: dict[tuple[Hashable, Hashable], Future[Value]] = {}
        self._lock = Lock()

    def get(self, key: Hashable, build: Callable[[], Value], *, version: Hashable = None) -> Value:
        """The value of `key` at `version`, built if it is not there. Raises what `build` raises."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry.version == version:
                self._entries.move_to_end(key)
                return entry.value
            underway = self._building.get((key, version))
            if underway is None:
                mine: Future[Value] = Future()
                self._building[key, version] = mine
        if underway is not None:
            return underway.result()
        return self._build(key, version, build, mine)

    def peek(self, key: Hashable) -> Value | None:
        """The value of `key` whatever its version, None if there is none; does not count as use."""
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    @property
    def held(self) -> int:
        """The sum of sizes now."""
        return self._held

    def _build(
        self, key: Hashable, version: Hashable, build: Callable[[], Value], promise: Future[Value]
    ) -> Value:
        try:
            value = build()
        except BaseException as error:
            with self._lock:
                del self._building[key, version]
            promise.set_exception(error)
            raise
        with self._lock:
            self._keep(key, _Entry(version, value, self._size(value)))
            del self._building[key, version]
        promise.set_result(value)
        return value

    def _keep(self, key: Hashable, entry: _Entry[Value]) -> None:
        replaced = self._entries.pop(key, None)
        self._held += entry.size - (replaced.size if replaced else 0)
        self._entries[key] = entry
        while self._held > self._most and len(self._entries) > 1:
            _, oldest = self._entries.popitem(last=False)
            self._held -= oldest.size
