"""Spans received by several web processes, joined by one.

The two halves of a call are often sent to different processes; joined apart, neither would find the other. So the
process that holds the lease on the traces of a cluster joins, and the others check each body and hand it over in a
list on the broker (docs/decisions/0006). What waits there is bounded in bytes and in age.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

import redis

from app.model.example import Example
from app.model.fleet import Snapshot
from app.model.series import Window
from collectors.otlp import RETRY_AFTER_SECONDS, IngestResult, OtlpCollector
from collectors.otlp_body import Full, OtlpError
from collectors.span_columns import Batch

log = logging.getLogger("quarterdeck.spans")

MOST_WAITING_BYTES = 64 << 20
_KEPT_SECONDS = 60  # spans older than the window would be dropped as late
_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 3.0

_PUSH = """
local held = tonumber(redis.call('GET', KEYS[2]) or '0')
if held + #ARGV[1] > tonumber(ARGV[2]) then return 0 end
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('INCRBY', KEYS[2], #ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
"""
_POP = """
local body = redis.call('LPOP', KEYS[1])
if body then redis.call('DECRBY', KEYS[2], #body) else redis.call('DEL', KEYS[2]) end
return body
"""


class SharedSpans:
    """A receiver whose bodies are joined by whichever process was started (`start`) as the one that joins."""

    kind: ClassVar[str] = OtlpCollector.kind
    cost: ClassVar[str] = OtlpCollector.cost

    def __init__(self, inner: OtlpCollector, broker_url: str) -> None:
        self.cluster, self.name, self.max_body_bytes = inner.cluster, inner.name, inner.max_body_bytes
        self.totals = inner.totals  # of the spans that this process joined
        self._inner = inner
        self._redis = redis.Redis.from_url(
            broker_url, socket_timeout=_PATIENCE_SECONDS, socket_connect_timeout=_PATIENCE_SECONDS
        )
        list_key = f"quarterdeck:spans:{inner.cluster}"
        self._keys = [list_key, f"{list_key}:bytes"]
        self._push, self._pop = self._redis.register_script(_PUSH), self._redis.register_script(_POP)
        self._joins = threading.Event()
        self._thread: threading.Thread | None = None

    def ingest(self, body: bytes, content_type: str, encoding: str = "") -> IngestResult:
        """Take one request body here or hand it over. Raises as `OtlpCollector.ingest`; then nothing was kept."""
        if self._joins.is_set():
            return self._inner.ingest(body, content_type, encoding)
        result = self._inner.check(body, content_type, encoding)
        packed = f"{content_type}\n{encoding}\n".encode() + body
        try:
            taken = self._push(keys=self._keys, args=[packed, MOST_WAITING_BYTES, _KEPT_SECONDS])
        except redis.RedisError as error:
            log.debug("spans could not be handed over: %s", error)
            raise Full(
                "the broker does not answer, come back later", retry_after=RETRY_AFTER_SECONDS
            ) from error
        if not taken:
            raise Full("too many spans wait to be joined, come back later", retry_after=RETRY_AFTER_SECONDS)
        return result

    def start(self) -> None:
        """From now on this process joins, also what the others hand over."""
        self._joins.set()
        self._thread = threading.Thread(target=self._drain, name=f"spans-{self.cluster}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Another process joins from now on. May be called twice."""
        self._joins.clear()
        if self._thread is not None:
            self._thread.join(_PATIENCE_SECONDS)
            self._thread = None

    def pull(self, window: Window) -> Snapshot:
        """What the last minute amounts to; only asked of the process that joins."""
        return self._inner.pull(window)

    def examples(self) -> list[Example]:
        """Traces of calls chosen some seconds ago; only asked of the process that joins."""
        return self._inner.examples()

    def take(
        self, settled: Sequence[Batch], unsettled: Sequence[Batch], *, source: str, until: datetime | None
    ) -> None:
        """Join spans that were pulled; only the process that joins pulls."""
        self._inner.take(settled, unsettled, source=source, until=until)

    def _drain(self) -> None:
        up, pause = True, threading.Event()
        while self._joins.is_set():
            try:
                packed = self._pop(keys=self._keys)
            except redis.RedisError as error:
                if up:
                    log.warning("spans handed over by other web processes are out of reach: %s", error)
                up, packed = False, None
            else:
                if not up:
                    log.info("spans of other web processes are within reach again")
                up = True
            if packed is None:
                pause.wait(_POLL_SECONDS)
            else:
                self._take(packed)

    def _take(self, packed: bytes) -> None:
        content_type, encoding, body = packed.split(b"\n", 2)
        try:
            self._inner.ingest(body, content_type.decode(), encoding.decode())
        except OtlpError as error:
            log.debug("a body that another process had taken was not joined: %s", error)
