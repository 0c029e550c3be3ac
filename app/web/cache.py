"""A bounded cache whose values are built once, however many threads ask at the same time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Least recently used first out; `most` bounds the sum of `size(value)` (by default the number of values).

    The key holds every input of the value, the caller's visibility included. Building happens outside the
    lock; who asks meanwhile waits for that build, and a failed build is not kept.
    """

    def __init__(self, most: int, *, size: Callable[[Value], int] | None = None) -> None:
        self._most = most
        self._size = size or (lambda _: 1)
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._held = 0
        self._building: dict[Hashable, Future[Value]] = {}
        self._lock = Lock()

    def get(self, key: Hashable, build: Callable[[], Value]) -> Value:
        """The value of `key`, built by `build` if it is not there. Raises what `build` raises."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            underway = self._building.get(key)
            if underway is None:
                mine: Future[Value] = Future()
                self._building[key] = mine
        if underway is not None:
            return underway.result()
        return self._build(key, build, mine)

    def peek(self, key: Hashable) -> Value | None:
        """The value if it is there; does not count as use."""
        return self._values.get(key)

    def _build(self, key: Hashable, build: Callable[[], Value], promise: Future[Value]) -> Value:
        try:
            value = build()
        except BaseException as error:
            with self._lock:
                del self._building[key]
            promise.set_exception(error)
            raise
        with self._lock:
            self._keep(key, value)
            del self._building[key]
        promise.set_result(value)
        return value

    def _keep(self, key: Hashable, value: Value) -> None:
        self._values[key] = value
        self._held += self._size(value)
        while self._held > self._most and len(self._values) > 1:
            _, oldest = self._values.popitem(last=False)
            self._held -= self._size(oldest)
