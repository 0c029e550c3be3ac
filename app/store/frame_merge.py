"""Adding frames: counts and histograms add up, what nobody saw stays unknown, the worst health is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from app.model.fleet import HealthStatus, Heard, Masks, no_masks
from app.model.series import BUCKETS, Floats
from app.store.frame_blob import Block, Names, Stored

Rows = NDArray[np.int64]
_RANK = {status.value: status.rank for status in HealthStatus}


@dataclass(frozen=True, slots=True)
class Sum:
    """Several frames added: `stored.length` is the time they cover, gaps not counted."""

    stored: Stored
    names: Names


def merge(frames: Sequence[tuple[Stored, Names]]) -> Sum:
    """Add frames given oldest first (at least one). Attributes of the newest win."""
    if len(frames) == 1:
        return Sum(*frames[0])
    nodes = _union([names.node_ids for _, names in frames])
    edges = _union([names.edge_ids for _, names in frames])
    attributes = _attributes([names for _, names in frames])
    length = sum((stored.length for stored, _ in frames), timedelta())
    node_rows = _rows_of(nodes, [names.node_ids for _, names in frames])
    edge_rows = _rows_of(edges, [names.edge_ids for _, names in frames])
    first = frames[0][0]
    stored = Stored(
        first.start,
        length,
        "",
        add([stored.nodes for stored, _ in frames], node_rows, len(nodes)),
        add([stored.edges for stored, _ in frames], edge_rows, len(edges)),
        _heard([stored.witnesses for stored, _ in frames]),
    )
    return Sum(stored, Names(nodes, edges, attributes))


def add(blocks: Sequence[Block], rows: Sequence[Rows], size: int) -> Block:
    """Blocks added into `size` rows; rows[i] says where the rows of blocks[i] go."""
    where = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    requests = add_known(where, np.concatenate([block.requests for block in blocks]), size)
    failed = add_known(where, np.concatenate([block.failed for block in blocks]), size)
    flat = np.concatenate(
        [
            index[block.cells // BUCKETS] * BUCKETS + block.cells % BUCKETS
            for block, index in zip(blocks, rows, strict=True)
        ]
    )
    counts = np.concatenate([block.counts for block in blocks])
    total: Floats = np.bincount(flat, weights=counts, minlength=size * BUCKETS).astype(np.float64)
    cells = np.flatnonzero(total)
    return Block(
        requests, failed, cells, total[cells], _worst(blocks, rows, size), _anybody(blocks, rows, size)
    )


def add_known(where: Rows, values: Floats, size: int) -> Floats:
    """Sum values by row; NaN where no value was known."""
    known = ~np.isnan(values)
    total = np.bincount(where[known], weights=values[known], minlength=size).astype(np.float64)
    total[np.bincount(where[known], minlength=size) == 0] = np.nan
    return total


def _attributes(tables: Sequence[Names]) -> dict[str, dict[str, str]]:
    """Those of the newest win; of a single table its own, so that what was made of them is known again."""
    distinct = list({id(table): table for table in tables}.values())
    if len(distinct) == 1:
        return distinct[0].attributes
    return {key: told for table in distinct for key, told in table.attributes.items()}


def _union(tables: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    distinct = {id(table): table for table in tables}
    if len(distinct) == 1:
        return tables[0]
    return tuple(sorted(set().union(*distinct.values())))


def _rows_of(union: tuple[str, ...], tables: Sequence[tuple[str, ...]]) -> list[Rows]:
    place = {name: row for row, name in enumerate(union)}
    known: dict[int, Rows] = {}
    for table in tables:
        if id(table) not in known:
            known[id(table)] = np.array([place[name] for name in table], np.int64)
    return [known[id(table)] for table in tables]


def _anybody(blocks: Sequence[Block], rows: Sequence[Rows], size: int) -> Masks:
    """Every kind of evidence that gave a row its numbers at any time."""
    if not any(len(block.seen) for block in blocks):
        return no_masks()
    seen = np.zeros(size, np.uint16)
    for block, index in zip(blocks, rows, strict=True):
        if len(block.seen):
            seen[index] |= block.seen  # a block names no row twice
    return seen


def _heard(told: Sequence[Mapping[str, Heard]]) -> dict[str, Heard]:
    """How long each kind was alive in all frames together; its sampling is the sparsest that was known."""
    found: dict[str, Heard] = {}
    for kind in sorted({kind for one in told for kind in one}):
        mine = [one[kind] for one in told if kind in one]
        known = [one.sampling_ratio for one in mine if one.sampling_ratio is not None]
        found[kind] = Heard(sum(one.seconds for one in mine), min(known, default=None))
    return found


def _worst(blocks: Sequence[Block], rows: Sequence[Rows], size: int) -> tuple[str, ...]:
    if not any(block.health for block in blocks):
        return ()
    words = sorted({word for block in blocks for word in block.health}, key=lambda word: _RANK.get(word, 99))
    code = {word: number for number, word in enumerate(words)}
    best = np.full(size, len(words), np.int64)
    for block, index in zip(blocks, rows, strict=True):
        if block.health:
            np.minimum.at(best, index, np.array([code[word] for word in block.health], np.int64))
    words.append(HealthStatus.UNKNOWN.value)
    return tuple(words[number] for number in best)
