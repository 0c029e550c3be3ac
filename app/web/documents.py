"""The topology as bytes: built once per revision and question, compressed once per encoding, served many times.

The key holds every input of the answer, the caller's visibility included. Deltas (`since`) are made from the
documents of recent versions that are still kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from app import clock
from app.web.cache import Cache
from app.web.etag import Bytes
from app.web.reader import Reader

_MOST_BYTES = 96 << 20
_KEPT_VERSIONS = 30
_TOPICS = ("fleet", "topology", "sources")
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_SERIALIZE_NUMPY
_AGE_SECONDS = 10  # ages inside the document are at most this old


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the topology; together with the revision it names one document."""

    cluster: str | None = None
    namespace: str | None = None
    at: datetime | None = None
    window: timedelta | None = None
    focus: str | None = None
    depth: int = 1
    view: str = "full"
    group: str | None = None
    columnar: bool = False


class Documents:
    """The topology documents of this process, at most 96 MB of them, least recently used first out."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._cache: Cache[Bytes] = Cache(_MOST_BYTES, size=lambda one: 3 * len(one.body))

    def topology(self, question: Question, visibility: str) -> Bytes:
        """The document as bytes. Raises NotFound for an unknown cluster or focus."""
        revision = self._reader.revision(*_TOPICS)
        tick = int(clock.monotonic() // _AGE_SECONDS)
        key = (question, visibility, revision, tick)
        return self._cache.get(key, lambda: self._build(question, f"t{revision}"))

    def _build(self, question: Question, version: str) -> Bytes:
        raise NotImplementedError
