"""Tallies as witnesses: parties are numbered, rows become the columns of node and edge traffic at one time."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from app.model.fleet import (
    EdgeKind,
    EdgeTraffic,
    EvidenceKind,
    Identity,
    NodeTraffic,
    Witness,
    no_edge_traffic,
    no_node_traffic,
)
from app.model.series import BUCKETS, Floats
from collectors.readings import EdgeKey, NodeKey
from collectors.tally import Tally

Rows = NDArray[np.int64]


class Parties:
    """Numbers parties in the order in which they come."""

    def __init__(self) -> None:
        self._index: dict[Identity, int] = {}

    def numbers(self, identities: Sequence[Identity]) -> NDArray[np.int32]:
        """The number of each identity."""
        return np.array([self._index.setdefault(one, len(self._index)) for one in identities], np.int32)

    def all(self) -> tuple[Identity, ...]:
        """Every identity by its number."""
        return tuple(self._index)


@dataclass(frozen=True, slots=True)
class Moment:
    """When a witness speaks: the end of its window and the window's length."""

    as_of: datetime
    window: timedelta


def node_witness(evidence: EvidenceKind, tally: Tally, moment: Moment, time: int = 0) -> Witness:
    """Keys are NodeKeys. A party of which no row has a finite count at `time` stays: it is seen, and unknown."""
    told = ~np.isnan(tally.requests[:, time])
    known = {key.party for key, good in zip(tally.keys, told.tolist(), strict=True) if good and _is_node(key)}
    rows = np.array(
        [
            row
            for row, key in enumerate(tally.keys)
            if told[row] or (_is_node(key) and key.party not in known)
        ],
        np.int64,
    )
    keys = [key for row in rows if isinstance(key := tally.keys[row], NodeKey)]
    parties = Parties()
    requests = tally.requests[rows, time]
    nodes = NodeTraffic(
        party=parties.numbers([key.party for key in keys]),
        requests=requests,
        failed=tally.failed[rows, time],
        raw=requests,
        latency=tally.latency[rows, time],
        versions=tuple(key.version for key in keys),
        floor=tally.floor[rows],
    )
    return Witness(evidence, moment.as_of, moment.window, parties.all(), nodes, no_edge_traffic())


def _is_node(key: Hashable) -> TypeGuard[NodeKey]:
    return isinstance(key, NodeKey)


def edge_witness(evidence: EvidenceKind, tally: Tally, moment: Moment, time: int = 0) -> Witness:
    """Keys are EdgeKeys as the caller counts them: its latency, nothing of the callee's."""
    rows = np.flatnonzero(~np.isnan(tally.requests[:, time]))
    keys = [key for row in rows if isinstance(key := tally.keys[row], EdgeKey)]
    parties = Parties()
    edges = edge_traffic(
        parties,
        keys,
        requests=tally.requests[rows, time],
        failed=tally.failed[rows, time],
        caller_errors=tally.caller_errors[rows, time],
        client_latency=tally.latency[rows, time],
        floor=tally.floor[rows],
    )
    return Witness(evidence, moment.as_of, moment.window, parties.all(), no_node_traffic(), edges)


def edge_traffic(
    parties: Parties,
    keys: Sequence[EdgeKey],
    *,
    requests: Floats,
    failed: Floats,
    caller_errors: Floats,
    client_latency: Floats | None = None,
    server_latency: Floats | None = None,
    floor: Floats | None = None,
    notes: tuple[str, ...] = (),
) -> EdgeTraffic:
    """Columns of edges, one row per key; a latency that nobody measured is all zero."""
    nothing = np.zeros((len(keys), BUCKETS))
    kinds: tuple[EdgeKind, ...] = tuple(key.kind for key in keys)
    return EdgeTraffic(
        source=parties.numbers([key.source for key in keys]),
        target=parties.numbers([key.target for key in keys]),
        requests=requests,
        failed=failed,
        caller_errors=caller_errors,
        raw=requests,
        client_latency=nothing if client_latency is None else client_latency,
        server_latency=nothing if server_latency is None else server_latency,
        protocol=tuple(key.protocol for key in keys),
        kind=kinds,
        floor=floor,
        notes=notes if any(notes) else (),
    )
