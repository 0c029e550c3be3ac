"""A window of fleet history read once: its sum, and per id when and how evenly it came about.

Beside `merged` it keeps the frames that were added, so that questions about a few ids (minute by minute, first
seen) cost no second read. Minutes are preferred to rollups as long as there are not too many of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.model.fleet import Frame
from app.model.series import BUCKETS, Floats, Window
from app.model.stretch import Pace, Piece
from app.store.frame_blob import Block, Names, Stored, frame_of
from app.store.frame_cover import HOUR, MINUTE, TIERS, aligned, cover, moment
from app.store.frame_merge import merge
from app.store.frame_rows import load, names_of, starts
from app.store.tables import frames

_MINUTES = 2 * HOUR  # longer windows are put together from the coarsest frames
_MOST_NAMES = 60  # tables of names looked through for changes of versions

Tables = Sequence[tuple[Stored, Names]]


class Kept:
    """The frames of a window and their sum (`frame`)."""

    def __init__(self, cluster: str, window: Window, found: Tables) -> None:
        total = merge(found)
        self.window = window
        self.frame: Frame = frame_of(cluster, total.stored, total.names)
        self._found = found

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """What the sum is made of, oldest first."""
        return tuple(
            Piece(stored.start, stored.length.total_seconds(), stored.witnesses) for stored, _ in self._found
        )

    def known(self, side: str) -> Floats:
        """Seconds in which each row of the sum (`nodes` or `edges`) was looked at."""
        ids = self.frame.node_ids if side == "nodes" else self.frame.edge_ids
        place = {name: row for row, name in enumerate(ids)}
        total = np.zeros(len(ids))
        rows: dict[int, NDArray[np.int64]] = {}
        for stored, names in self._found:
            block, own = _side(stored, names, side)
            if id(names) not in rows:
                rows[id(names)] = np.array([place[name] for name in own], np.int64)
            looked = ~np.isnan(block.requests)
            total[rows[id(names)][looked]] += stored.length.total_seconds()
        return total

    def paces(self, ids: Iterable[str], *, latency: bool = True) -> dict[str, Pace]:
        """Piece by piece for some node and edge ids; an id that is not in a piece is NaN there.

        Without `latency` the histograms stay zero and cost nothing.
        """
        wanted = list(ids)
        shape = (len(wanted), len(self._found))
        requests, failed = np.full(shape, np.nan), np.full(shape, np.nan)
        histograms = np.zeros((*shape, BUCKETS)) if latency else np.broadcast_to(0.0, (*shape, BUCKETS))
        places: dict[int, list[_Place]] = {}
        for at, (stored, names) in enumerate(self._found):
            if id(names) not in places:
                places[id(names)] = [_place(own, wanted) for own in (names.node_ids, names.edge_ids)]
            for block, (rows, to) in zip((stored.nodes, stored.edges), places[id(names)], strict=True):
                there = np.flatnonzero(rows >= 0)
                requests[there, at] = block.requests[rows[there]]
                failed[there, at] = block.failed[rows[there]]
                if latency:
                    into = to[block.cells // BUCKETS]
                    cells = np.flatnonzero(into >= 0)
                    histograms[into[cells], at, block.cells[cells] % BUCKETS] = block.counts[cells]
        return {name: Pace(requests[i], failed[i], histograms[i]) for i, name in enumerate(wanted)}

    def versions_since(self, node: str, other: str) -> datetime | None:
        """The start of the first piece in which the node's versions were not `other`; None = of none."""
        for stored, names in self._found:
            told = names.attributes.get(node, {}).get("versions")
            if told and told != other:
                return stored.start
        return None


def stretch(session: Session, cluster: str, window: Window) -> Kept | None:
    """The frames that cover a window, on full minutes. None = nobody looked."""
    start, end = aligned(window)
    available = starts(session, cluster, start, end)
    order = TIERS if end - start <= _MINUTES else TIERS[::-1]
    found = load(session, cluster, cover(available, start, end, order, overlap=True))
    return Kept(cluster, Window(moment(start), moment(end)), found) if found else None


@dataclass(frozen=True, slots=True)
class VersionChange:
    """In the minute that begins at `at` a node first had pods of the version `after`."""

    at: datetime
    node: str
    before: str
    after: str


def version_changes(session: Session, cluster: str, window: Window) -> list[VersionChange]:
    """Changes of versions that the minutes of a window saw, newest first; of a restless fleet only the last ones.

    A rollout counts from the minute in which old and new were first seen beside each other. The first version that
    is ever seen of a node follows nothing and is no change.
    """
    mine = (frames.c.cluster == cluster) & (frames.c.tier == MINUTE)
    within = (frames.c.start >= window.start) & (frames.c.start < window.end)
    query = select(frames.c.start, frames.c.names).where(mine & within).order_by(frames.c.start)
    turns = _turns((row.start, row.names) for row in session.execute(query))[-_MOST_NAMES:]
    tables = names_of(session, {digest for _, digest in turns})
    found: list[VersionChange] = []
    known: dict[str, str] = {}
    mixed: dict[str, datetime] = {}  # when a rollout that is still under way was first seen
    for start, digest in turns:
        for node, told in tables[digest].attributes.items():
            after, before = told.get("versions", ""), known.get(node, "")
            if "," in after:
                mixed.setdefault(node, start)
            elif after:
                began = mixed.pop(node, start)
                if before and after != before:
                    found.append(VersionChange(began, node, before, after))
                known[node] = after
    return sorted(found, key=lambda one: one.at, reverse=True)


def _turns(minutes: Iterable[tuple[datetime, str]]) -> list[tuple[datetime, str]]:
    """The minutes in which the table of names is another one than in the minute before."""
    found: list[tuple[datetime, str]] = []
    for start, digest in minutes:
        if not found or found[-1][1] != digest:
            found.append((start, digest))
    return found


def _side(stored: Stored, names: Names, side: str) -> tuple[Block, tuple[str, ...]]:
    return (stored.nodes, names.node_ids) if side == "nodes" else (stored.edges, names.edge_ids)


_Place = tuple[NDArray[np.int64], NDArray[np.int64]]


def _place(own: Sequence[str], wanted: Sequence[str]) -> _Place:
    """Rows of the wanted ids among a block's own, and the wanted place of each own row; -1 = none."""
    row = {name: i for i, name in enumerate(own)}
    rows = np.array([row.get(name, -1) for name in wanted], np.int64)
    to = np.full(len(own), -1, np.int64)
    there = np.flatnonzero(rows >= 0)
    to[rows[there]] = there
    return rows, to
