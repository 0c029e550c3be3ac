"""The stored form of fleet history: a frame (whole fleet, one stretch of time) and a chunk (few ids, many slots).

Both are one zstd blob: magic, version, msgpack header, then columns (`columns`). Histograms are sparse: cells
per row, bucket of each cell, count of each cell. Ids and drawing attributes hardly change from minute to
minute, so they lie in a blob of their own under their digest (`names`). Rows are sorted by id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import StoreError
from app.model.fleet import Frame, Heard, Masks, no_masks
from app.model.series import BUCKETS, Floats
from app.store.blob import compress, decompress
from app.store.columns import Reader, Spec, dense, flat_cells, pack

_FRAME, _CHUNK = b"QF", b"QC"
_VERSION = 1
_SIZE = 4


@dataclass(frozen=True, slots=True)
class Block:
    """Rows with counts and sparse histograms: `cells` = row * BUCKETS + bucket, ascending, of `counts`.

    `health` and `seen` (who gave the numbers) are empty in chunks and where they were not kept.
    """

    requests: Floats
    failed: Floats
    cells: NDArray[np.int64]
    counts: Floats
    health: tuple[str, ...] = ()
    seen: Masks = field(default_factory=no_masks)

    def latency(self) -> Floats:
        """Dense histograms, shape (rows, BUCKETS)."""
        return dense(self.cells, self.counts, len(self.requests))


@dataclass(frozen=True, slots=True)
class Stored:
    """A decoded frame: which names its rows have, and its two blocks."""

    start: datetime
    length: timedelta
    names: str
    nodes: Block
    edges: Block
    witnesses: dict[str, Heard] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some ids over many slots of a tier; row of id i in slot s = i * slots + s."""

    ids: tuple[str, ...]
    slots: int
    block: Block


class Names(msgspec.Struct, frozen=True):
    """Ids of the rows of a frame, sorted, and what a drawing needs beside numbers."""

    node_ids: tuple[str, ...]
    edge_ids: tuple[str, ...]
    attributes: dict[str, dict[str, str]]


class _BlockHeader(msgspec.Struct, array_like=True):
    columns: list[Spec]
    health: list[str]


class _FrameHeader(msgspec.Struct, array_like=True):
    buckets: int
    start: datetime
    length_seconds: int
    names: str
    nodes: _BlockHeader
    edges: _BlockHeader
    # Later than version 1 began: absent in older blobs, and passed over by older builds, as their columns come last.
    seen: list[Spec] = []
    witnesses: dict[str, tuple[float, float | None]] = {}


class _ChunkHeader(msgspec.Struct, array_like=True):
    buckets: int
    ids: tuple[str, ...]
    slots: int
    block: _BlockHeader


_write = msgspec.msgpack.Encoder().encode
_read_frame = msgspec.msgpack.Decoder(_FrameHeader)
_read_chunk = msgspec.msgpack.Decoder(_ChunkHeader)
_read_names = msgspec.msgpack.Decoder(Names)


def encode_frame(frame: Frame) -> tuple[str, bytes, bytes]:
    """(digest of the names, blob of the names, blob of the numbers)."""
    node_order, edge_order = _order(frame.node_ids), _order(frame.edge_ids)
    names = Names(
        tuple(frame.node_ids[i] for i in node_order),
        tuple(frame.edge_ids[i] for i in edge_order),
        {key: dict(sorted(frame.attributes[key].items())) for key in sorted(frame.attributes)},
    )
    raw = _write(names)
    digest = hashlib.sha256(raw).hexdigest()[:32]
    nodes = _block(
        frame.node_requests,
        frame.node_failed,
        frame.node_latency,
        frame.node_health,
        frame.node_seen,
        node_order,
    )
    edges = _block(
        frame.edge_requests,
        frame.edge_failed,
        frame.edge_latency,
        frame.edge_health,
        frame.edge_seen,
        edge_order,
    )
    stored = Stored(frame.start, frame.length, digest, nodes, edges, frame.witnesses)
    return digest, compress(raw), encode_stored(stored)


def encode_stored(stored: Stored) -> bytes:
    """The blob of the numbers of a frame."""
    node_header, node_bytes = _pack_block(stored.nodes)
    edge_header, edge_bytes = _pack_block(stored.edges)
    seen = [pack(block.seen.astype(np.float64)) for block in (stored.nodes, stored.edges)]
    header = _FrameHeader(
        BUCKETS,
        stored.start,
        int(stored.length.total_seconds()),
        stored.names,
        node_header,
        edge_header,
        [spec for spec, _ in seen],
        {kind: (heard.seconds, heard.sampling_ratio) for kind, heard in stored.witnesses.items()},
    )
    return _seal(_FRAME, _write(header), node_bytes + edge_bytes + b"".join(raw for _, raw in seen))


def decode_stored(blob: bytes) -> Stored:
    """A frame's numbers. Raises StoreError for an unknown version or broken bytes."""
    header, reader = _open(_FRAME, blob, _read_frame)
    nodes, edges = _take_block(reader, header.nodes), _take_block(reader, header.edges)
    if header.seen:
        nodes, edges = (
            replace(block, seen=reader.whole(spec).astype(np.uint16))
            for block, spec in zip((nodes, edges), header.seen, strict=True)
        )
    length = timedelta(seconds=header.length_seconds)
    witnesses = {kind: Heard(*told) for kind, told in header.witnesses.items()}
    return Stored(header.start.astimezone(UTC), length, header.names, nodes, edges, witnesses)


def frame_of(cluster: str, stored: Stored, names: Names) -> Frame:
    """The model's frame, rows sorted by id."""
    return Frame(
        cluster=cluster,
        start=stored.start,
        length=stored.length,
        node_ids=names.node_ids,
        node_requests=stored.nodes.requests,
        node_failed=stored.nodes.failed,
        node_latency=stored.nodes.latency(),
        edge_ids=names.edge_ids,
        edge_requests=stored.edges.requests,
        edge_failed=stored.edges.failed,
        edge_latency=stored.edges.latency(),
        node_health=stored.nodes.health,
        edge_health=stored.edges.health,
        attributes=names.attributes,
        node_seen=stored.nodes.seen,
        edge_seen=stored.edges.seen,
        witnesses=stored.witnesses,
    )


def encode_names(names: Names) -> tuple[str, bytes]:
    """(digest, blob)."""
    raw = _write(names)
    return hashlib.sha256(raw).hexdigest()[:32], compress(raw)


@lru_cache(maxsize=64)
def decode_names(blob: bytes) -> Names:
    """Ids and attributes; kept for the next frames of the same names, so treat it as read-only."""
    try:
        return _read_names.decode(decompress(blob))
    except msgspec.DecodeError as error:
        raise StoreError(f"a stored table of names is broken: {error}") from error


def encode_chunk(chunk: Chunk) -> bytes:
    """The blob of a chunk."""
    header, columns = _pack_block(chunk.block)
    return _seal(_CHUNK, _write(_ChunkHeader(BUCKETS, chunk.ids, chunk.slots, header)), columns)


def decode_chunk(blob: bytes) -> Chunk:
    """A chunk. Raises StoreError for an unknown version or broken bytes."""
    header, reader = _open(_CHUNK, blob, _read_chunk)
    return Chunk(header.ids, header.slots, _take_block(reader, header.block))


def _order(ids: Sequence[str]) -> list[int]:
    return sorted(range(len(ids)), key=ids.__getitem__)


def _block(
    requests: Floats, failed: Floats, latency: Floats, health: tuple[str, ...], seen: Masks, order: list[int]
) -> Block:
    index = np.array(order, np.int64)
    cells, counts = flat_cells(latency[index])
    words = tuple(health[i] for i in order) if health else ()
    masks = seen[index] if len(seen) == len(index) else no_masks()
    return Block(requests[index], failed[index], cells, counts, words, masks)


def _pack_block(block: Block) -> tuple[_BlockHeader, bytes]:
    per_row = np.bincount(block.cells // BUCKETS, minlength=len(block.requests)).astype(np.float64)
    buckets = (block.cells % BUCKETS).astype(np.float64)
    words = sorted(set(block.health))
    codes = {word: code for code, word in enumerate(words)}
    health = np.array([codes[word] for word in block.health], np.float64)
    packed = [
        pack(column) for column in (block.requests, block.failed, per_row, buckets, block.counts, health)
    ]
    return _BlockHeader([spec for spec, _ in packed], words), b"".join(raw for _, raw in packed)


def _take_block(reader: Reader, header: _BlockHeader) -> Block:
    columns = header.columns
    requests, failed = reader.floats(columns[0]), reader.floats(columns[1])
    per_row, buckets = reader.whole(columns[2]), reader.whole(columns[3])
    counts, codes = reader.floats(columns[4]), reader.whole(columns[5])
    cells = np.repeat(np.arange(0, len(requests) * BUCKETS, BUCKETS), per_row)
    if len(cells) != len(buckets) or len(buckets) != len(counts):
        raise StoreError("a stored histogram does not fit its rows")
    cells += buckets
    words = np.array(header.health, object)[codes] if len(codes) else ()
    return Block(requests, failed, cells, counts, tuple(words))


def _seal(magic: bytes, header: bytes, columns: bytes) -> bytes:
    body = len(header).to_bytes(_SIZE, "little") + header + columns
    return magic + bytes([_VERSION]) + compress(body)


def _open(magic: bytes, blob: bytes, decoder: msgspec.msgpack.Decoder[Any]) -> tuple[Any, Reader]:
    if blob[:2] != magic or len(blob) < 3:
        raise StoreError("a stored frame does not begin as frames do")
    if blob[2] != _VERSION:
        raise StoreError(f"a stored frame has version {blob[2]}, this build reads {_VERSION}")
    raw = decompress(blob[3:])
    size = int.from_bytes(raw[:_SIZE], "little")
    try:
        header = decoder.decode(raw[_SIZE : _SIZE + size])
    except msgspec.DecodeError as error:
        raise StoreError(f"a stored frame's header is broken: {error}") from error
    if header.buckets != BUCKETS:
        raise StoreError(f"a stored frame has {header.buckets} histogram buckets, this build has {BUCKETS}")
    return header, Reader(raw, _SIZE + size)
