"""Drawings of the fleet: one child process that computes layouts, and stored places that never jump.

The child is killed and replaced when it is late or dead; then the same list is tried once more in the quick
form, and at last ranks are computed here, which `Drawing.approximate` tells.
"""

from __future__ import annotations

import atexit
import logging
import os
import selectors
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from threading import Lock
from typing import Any

import msgspec

from app import clock
from app.model.fleet import Topology
from app.store import positions
from app.store.engine import Store
from app.understand import layout
from app.understand.layout import Pair, Place
from app.understand.layout_child import write_frame
from app.understand.selection import NO_FACTS, Facts
from app.understand.view import View, ViewOptions, map_view, select

log = logging.getLogger("quarterdeck.layouts")

DEADLINE = 5.0  # seconds a job may take before its process is killed
QUICK_DEADLINE = 2.0
REDRAWN_ABOVE = 0.30  # share of new nodes at which a view is laid out anew
MOST_KEPT = (
    900  # places of a view that shows others from time to time, before those of the others are given up
)
_CHILD = (sys.executable, "-m", "app.understand.layout_child")
_places = msgspec.msgpack.Decoder(list[tuple[float, float]])


@dataclass(frozen=True, slots=True)
class Drawing:
    """Places of all nodes of a view (x, y, pinned). approximate = the layout is provisional."""

    places: dict[str, tuple[float, float, bool]]
    algorithm: str = "layered"
    approximate: bool = False


class LayoutFailed(Exception):
    """The child was late or died; only this module sees it."""


class LayoutProcess:
    """The long-lived child. Jobs wait for each other; every one has a deadline."""

    def __init__(self, command: Sequence[str] = _CHILD, *, deadline: float = DEADLINE) -> None:
        self._command = tuple(command)
        self._deadline = deadline
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = Lock()

    def places(self, count: int, edges: Sequence[Pair], *, ranks: bool = True) -> tuple[list[Place], bool]:
        """Places of nodes 0..count-1 for a cleaned edge list, and whether they are approximate. Never raises."""
        tries = ((True, self._deadline), (False, min(QUICK_DEADLINE, self._deadline)))
        for transpose, deadline in tries:
            try:
                return self._ask([count, edges, transpose, ranks], deadline), not transpose
            except LayoutFailed as error:
                log.warning("layout of %d nodes and %d edges: %s", count, len(edges), error)
        return layout.by_longest_path(count, edges), True

    def close(self) -> None:
        """End the child; the next job starts another."""
        with self._lock:
            self._end()

    def _ask(self, job: list[Any], deadline: float) -> list[Place]:
        body = msgspec.msgpack.encode(job)
        with self._lock:
            try:
                child = self._running()
                assert child.stdin is not None
                assert child.stdout is not None
                write_frame(child.stdin, body)  # type: ignore[arg-type]
                until = clock.monotonic() + deadline
                size = int.from_bytes(_read(child.stdout.fileno(), 4, until), "big")
                found = _places.decode(_read(child.stdout.fileno(), size, until))
            except (OSError, LayoutFailed, msgspec.DecodeError) as error:
                self._end()
                raise LayoutFailed(str(error) or type(error).__name__) from error
        if len(found) != job[0]:
            raise LayoutFailed(f"{len(found)} places for {job[0]} nodes")
        return found

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._end()
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # found wherever we were found
            )
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:  # unsent bytes to a dead child
                    log.debug("closing the layout process' pipe", exc_info=True)


def _read(descriptor: int, size: int, until: float) -> bytes:
    """Exactly `size` bytes before the deadline. Raises LayoutFailed."""
    parts: list[bytes] = []
    while size:
        if not _readable(descriptor, max(0.0, until - clock.monotonic())):
            raise LayoutFailed("no answer before the deadline")
        part = os.read(descriptor, size)
        if not part:
            raise LayoutFailed("the layout process died")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _readable(descriptor: int, seconds: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(seconds))


@lru_cache(maxsize=1)
def shared() -> LayoutProcess:
    """This process' child; started with its first job, ended with the process."""
    process = LayoutProcess()
    atexit.register(process.close)
    return process


def view_name(cluster: str, group: str = "none", focus: str | None = None) -> str:
    """The name under which places are kept: the cluster's own drawing, one per grouping, one per focus node."""
    if focus:
        return f"{cluster}|focus|{focus}"
    return cluster if group == "none" else f"{cluster}|{group}"


def changes(asked: ViewOptions, view: View) -> bool:
    """Whether what a view shows depends on what is bad now."""
    return view.mode == "problems" or asked.errors


def name_of(cluster: str, asked: ViewOptions, view: View) -> str:
    """The name of the drawing that shows a view; trees, paths, errors and problems have their own."""
    if asked.focus and asked.target:
        return f"{cluster}|path|{asked.focus}|{asked.target}"
    if asked.focus and asked.direction != "any":
        return f"{cluster}|{asked.direction}|{asked.focus}"
    if asked.errors and not asked.focus:
        return view_name(f"{cluster}|errors", asked.group)
    if asked.focus or view.mode == "all":
        return view_name(cluster, asked.group, asked.focus)
    return view_name(f"{cluster}|{'overview' if view.calm else 'problems'}", asked.group)


def map_document(
    store: Store,
    topology: Topology,
    options: ViewOptions | None = None,
    *,
    facts: Mapping[str, Facts] = NO_FACTS,
    version: str = "",
    now: datetime | None = None,
    tidy: bool = False,
    still: bool = False,
    process: LayoutProcess | None = None,
) -> dict[str, Any]:
    """The drawable form of a topology (UI.md 6.1), its nodes placed. Raises NotFound, BadInput and StoreError.

    `still`: a look at the past, for which a known view is never laid out anew.
    """
    asked = options or ViewOptions()
    view = select(topology, asked, facts)
    name = name_of(topology.cluster, asked, view)
    drawing = arrange(
        store,
        name,
        view.ids,
        view.pairs,
        process=process,
        tidy=tidy,
        still=still,
        changing=changes(asked, view),
        ranks=view.ranks,
    )
    return map_view(
        topology,
        view,
        drawing.places,
        asked,
        version=version,
        name=name,
        algorithm=drawing.algorithm,
        approximate=drawing.approximate,
        now=now,
    )


def arrange(
    store: Store,
    view: str,
    ids: Collection[str],
    edges: Iterable[tuple[str, str]],
    *,
    process: LayoutProcess | None = None,
    tidy: bool = False,
    still: bool = False,
    changing: bool = False,
    ranks: bool = True,
) -> Drawing:
    """Places for all `ids` of a view; what is new is stored.

    Known nodes stay where they are. All is laid out anew when the view was never drawn, when more than
    REDRAWN_ABOVE of its nodes are new (unless `still`), or when `tidy`; pinned nodes stay even then.
    `changing`: the view shows others from time to time; then the places of those that are away stay theirs.
    `ranks`: callers stand left of callees. Raises StoreError.
    """
    pairs = list(edges)
    with store.reading() as session:
        stored = positions.positions(session, view)
    known = {key: place for key, place in stored.items() if key in ids}
    new = [key for key in ids if key not in known]
    if not new and not tidy:
        return Drawing(known)
    redrawn = len(new) > REDRAWN_ABOVE * len(ids) and not (still and stored)
    if tidy or redrawn:
        found, approximate = _anew(ids, pairs, process or shared(), ranks=ranks)
    else:
        join = layout.beside if ranks else layout.among
        found, approximate = join(_spots(stored if changing else known), new, pairs), False
    pinned = {key: place for key, place in known.items() if place[2]}
    with store.begin() as session:
        if changing and (tidy or redrawn or len(stored) + len(new) > MOST_KEPT):
            away = stored.keys() - known.keys()
            positions.forget(session, view, [key for key in away if not stored[key][2]])
        positions.place(session, view, {key: place for key, place in found.items() if key not in pinned})
    placed = {key: (x, y, False) for key, (x, y) in found.items()}
    algorithm = "layered" if ranks and len(ids) <= layout.LAYERED_UP_TO else "springs"
    return Drawing({**known, **placed, **pinned}, algorithm, approximate)


def _anew(
    ids: Collection[str], edges: Iterable[tuple[str, str]], process: LayoutProcess, *, ranks: bool
) -> tuple[dict[str, Place], bool]:
    order, cleaned = layout.dense(list(ids), edges)
    places, approximate = process.places(len(order), cleaned, ranks=ranks)
    return dict(zip(order, places, strict=True)), approximate


def _spots(known: Mapping[str, tuple[float, float, bool]]) -> dict[str, Place]:
    return {key: (x, y) for key, (x, y, _) in known.items()}
