"""What understanding remembers from one evaluation to the next: held statuses, streaks, and who was seen when.

Opaque to everybody else: `dump` makes the bytes that the store keeps beside the live topology, `load`
reads them back. Bytes of another version or broken ones are forgotten, which costs one hysteresis.
"""

from __future__ import annotations

import logging
from datetime import timedelta

import msgspec
import zstandard

from app.model.fleet import NodeKind
from app.understand.identity import Party

log = logging.getLogger("quarterdeck.understand")

VERSION = 1
KEPT = timedelta(hours=24)  # after that a silent node or edge leaves the live map (reference: topology 8.4)
_MAX_BYTES = 256 * 1024 * 1024


class Mark(msgspec.Struct, array_like=True, gc=False):
    """State of one node or edge.

    status: held health status; since: when it began; recent: severities of the last evaluations, a digit
    each, newest last; seen: last time traffic was seen; fresh_since: since
    when its data has come without a gap; by: evidence kind its numbers last rested on; before: status before
    it became unknown; usual_p95: what its p95 (seconds) is held against while it is unhealthy, 0 = nothing.
    Times are Unix seconds; 0 = never.
    """

    status: str = ""
    since: float = 0.0
    recent: str = ""
    seen: float = 0.0
    fresh_since: float = 0.0
    by: str = ""
    before: str = ""
    reasons: list[tuple[str, str, float | None, float | None]] = []
    usual_p95: float = 0.0


class KnownNode(msgspec.Struct, array_like=True, gc=False):
    """A remembered node: its party and its mark."""

    mark: Mark
    name: str
    kind: str
    namespace: str | None
    workload: tuple[str, str] | None
    owner: str | None
    detail: str
    matched_by: str
    engine: str

    def party(self, node_id: str) -> Party:
        """The party as it was resolved when it was last seen."""
        return Party(
            id=node_id,
            name=self.name,
            kind=NodeKind(self.kind),
            namespace=self.namespace,
            workload=self.workload,
            owner=self.owner,
            detail=self.detail,
            matched_by=self.matched_by,
            engine=self.engine,
        )


class KnownEdge(msgspec.Struct, array_like=True, gc=False):
    """A remembered edge: its edge kind and mark; ends and protocol family are in its id."""

    mark: Mark
    kind: str


class Memory(msgspec.Struct, array_like=True):
    """Everything remembered of one cluster."""

    version: int = VERSION
    nodes: dict[str, KnownNode] = {}
    edges: dict[str, KnownEdge] = {}


_decoder = msgspec.msgpack.Decoder(Memory)


def known_node(party: Party, mark: Mark) -> KnownNode:
    """Remember a party."""
    return KnownNode(
        mark,
        party.name,
        party.kind.value,
        party.namespace,
        party.workload,
        party.owner,
        party.detail,
        party.matched_by,
        party.engine,
    )


def dump(memory: Memory) -> bytes:
    """Memory as compressed MessagePack."""
    return zstandard.compress(msgspec.msgpack.encode(memory), 1)


def load(data: bytes | None) -> Memory:
    """The inverse of `dump`; an empty memory for None, for another version and for broken bytes."""
    if not data:
        return Memory()
    try:
        memory = _decoder.decode(zstandard.decompress(data, max_output_size=_MAX_BYTES))
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        log.warning("remembered health could not be read and starts anew: %s", error)
        return Memory()
    return memory if memory.version == VERSION else Memory()
