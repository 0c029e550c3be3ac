"""The topology as bytes: built once per revision and question, compressed once per encoding, served many times.

The key holds every input of the answer, the caller's visibility included. Deltas (`since`) are made from the
documents of recent versions, as far as they are still kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
from flask import Response

from app import clock, layouts
from app.model.fleet import Topology
from app.understand import document
from app.understand.export import MEDIA, as_csv, dot
from app.understand.part import ViewOptions, listed, narrow
from app.web import etag
from app.web.cache import Cache
from app.web.etag import Bytes
from app.web.facts import facts_for
from app.web.reader import Reader

if TYPE_CHECKING:
    from app.store.engine import Store

_MOST_BYTES = 40 << 20
_MOST_PACKED = 20 << 20
_TOPICS = ("fleet", "topology", "sources")
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_SERIALIZE_NUMPY
_AGE_SECONDS = 10  # ages inside a document are at most this much too low


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the topology; with the revision and the caller's visibility it names one document."""

    cluster: str | None = None
    namespace: str | None = None
    at: datetime | None = None
    window: timedelta | None = None
    focus: str | None = None
    depth: int = 1
    direction: str = "any"
    target: str | None = None
    mode: str = "auto"
    errors: bool = False
    find: str | None = None
    hide: str | None = None
    group: str = "none"
    folded: frozenset[str] = frozenset()
    opened: frozenset[str] = frozenset()
    view: str = "full"
    columnar: bool = False


@dataclass(frozen=True, slots=True)
class Packed:
    """A document whose nodes and edges are encoded one by one, so that a delta is a choice among them."""

    head: dict[str, Any]
    nodes: dict[str, bytes]
    edges: dict[str, bytes]

    def __len__(self) -> int:
        rows = (self.nodes, self.edges)
        return sum(len(raw) + len(name) + 150 for part in rows for name, raw in part.items())


class Documents:
    """The topology documents of this process, bounded in bytes, least recently used first out."""

    def __init__(
        self, reader: Reader, store: Store, *, monotonic: Callable[[], float] = clock.monotonic
    ) -> None:
        self._reader = reader
        self._store = store
        self._monotonic = monotonic
        self._bytes: Cache[Bytes] = Cache(_MOST_BYTES, size=lambda one: 2 * len(one.body))
        self._packed: Cache[Packed] = Cache(_MOST_PACKED, size=len)

    def topology(self, question: Question, visibility: str, *, since: str | None = None) -> Bytes:
        """The document as bytes. Raises NotFound for an unknown cluster or focus, BadInput for an expression."""
        revision = self._reader.revision(*_TOPICS)
        # Ages are told inside, so a version also moves slowly by itself.
        version = f"t{revision}.{int(self._monotonic() // _AGE_SECONDS):x}"
        key = (question, visibility)
        before = self._before(key, since) if question.at is None else None
        if before is None:
            return self._bytes.get(key, lambda: self._full(key, version), version=version)
        return self._bytes.get(
            (*key, since), lambda: delta(before, self._rows(key, version), str(since)), version=version
        )

    def export(self, question: Question, visibility: str, form: str) -> Bytes:
        """The same part as a file in one of `export.FORMATS`, uncut. Raises NotFound and BadInput."""
        if form == "json":
            return self.topology(replace(question, view="full", columnar=False), visibility)
        version = f"t{self._reader.revision(*_TOPICS)}"
        return self._bytes.get(
            (question, visibility, form), lambda: self._file(question, form), version=version
        )

    def _file(self, question: Question, form: str) -> Bytes:
        topology = self._reader.topology(question.cluster, question.at, question.window)
        return export_file(self._part(topology, question), form)

    def _part(self, topology: Topology, question: Question) -> Topology:
        options = _options(question)
        return listed(narrow(topology, options, facts_for(self._reader, topology, options)), options)

    def _before(self, key: tuple[Question, str], since: str | None) -> Packed | None:
        return self._packed.peek((*key, since)) if since is not None else None

    def _full(self, key: tuple[Question, str], version: str) -> Bytes:
        question = key[0]
        if (
            question.columnar or question.view == "map" or question.at is not None
        ):  # nothing to tell deltas from
            return Bytes(orjson.dumps(self._document(question, version), option=_OPTIONS))
        return whole(self._rows(key, version))

    def _rows(self, key: tuple[Question, str], version: str) -> Packed:
        return self._packed.get((*key, version), lambda: packed(self._document(key[0], version)))

    def _document(self, question: Question, version: str) -> dict[str, Any]:
        topology = self._reader.topology(question.cluster, question.at, question.window)
        if question.view == "map":
            options = _options(question)
            return layouts.map_document(
                self._store,
                topology,
                options,
                facts=facts_for(self._reader, topology, options),
                version=version,
                now=clock.now(),
                still=question.at is not None,
            )
        shown = self._part(topology, question)
        places = self._reader.positions(layouts.view_name(topology.cluster))
        make = document.columnar if question.columnar else document.document
        return make(shown, places, version=version, now=clock.now())


def export_file(topology: Topology, form: str) -> Bytes:
    """A topology as DOT or CSV."""
    text = dot(topology) if form == "dot" else as_csv(topology)
    return Bytes(text.encode("utf-8", "replace"), media_type=MEDIA[form])


def download(file: Bytes, form: str) -> Response:
    """A file that the browser keeps instead of showing it."""
    answer = etag.serve(file)
    answer.headers["Content-Disposition"] = f'attachment; filename="topology.{form}"'
    return answer


def _options(question: Question) -> ViewOptions:
    return ViewOptions(
        namespaces=frozenset({question.namespace} if question.namespace else ()),
        focus=question.focus,
        depth=question.depth,
        direction=question.direction,
        target=question.target,
        mode=question.mode,
        errors=question.errors,
        find=question.find or "",
        hide=question.hide or "",
        group=question.group,
        folded=question.folded,
        opened=question.opened,
    )


def packed(rows: dict[str, Any]) -> Packed:
    """A document of rows with each row encoded."""
    head = {name: value for name, value in rows.items() if name not in ("nodes", "edges")}
    nodes = {row["id"]: orjson.dumps(row, option=_OPTIONS) for row in rows["nodes"]}
    edges = {row["id"]: orjson.dumps(row, option=_OPTIONS) for row in rows["edges"]}
    return Packed(head, nodes, edges)


def whole(document: Packed) -> Bytes:
    """All of it."""
    return _joined(document.head, document.nodes.values(), document.edges.values())


def delta(before: Packed, after: Packed, since: str) -> Bytes:
    """What of `after` is new or different, in its order, and the ids that went."""
    gone = {
        "nodes": sorted(before.nodes.keys() - after.nodes),
        "edges": sorted(before.edges.keys() - after.edges),
    }
    head = {**after.head, "since": since, "gone": gone}
    return _joined(head, _changed(before.nodes, after.nodes), _changed(before.edges, after.edges))


def _changed(before: dict[str, bytes], after: dict[str, bytes]) -> list[bytes]:
    return [raw for name, raw in after.items() if before.get(name) != raw]


def _joined(head: dict[str, Any], nodes: Iterable[bytes], edges: Iterable[bytes]) -> Bytes:
    start = orjson.dumps(head, option=_OPTIONS)[:-1]
    parts = (start, b',"nodes":[', b",".join(nodes), b'],"edges":[', b",".join(edges), b"]}")
    return Bytes(b"".join(parts))
