"""Which rows of several witnesses speak of the same edge: a witness that knows less joins those that know more.

A pair of nodes may be connected by several protocol families. Who does not know the protocol, sees only
connections (tcp) or takes gRPC for the HTTP below it, does not make another edge of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.model.fleet import EvidenceKind, NodeKind
from app.understand.columns import Bools, Index
from app.understand.identity import Party
from app.understand.names import protocol_family
from app.understand.testimony import Testimony

UNKNOWN = 0  # code of the family that nobody said
MOST_FAMILIES = 4096  # told apart; a fleet has a dozen
_MESHES = (EvidenceKind.MESH, EvidenceKind.LINKERD)


@dataclass(slots=True)
class Rows:
    """The edge rows of one witness: their pair of nodes (source * width + target) and the code of their family.

    `counted` is false for a row that says nothing of its own, because others say the same better.
    """

    pair: Index
    family: Index
    counted: Bools

    @property
    def key(self) -> Index:
        """Pair and family in one number; -1 = not counted."""
        return np.where(self.counted, self.pair * MOST_FAMILIES + self.family, -1)


def same_edges(
    testimonies: Sequence[Testimony], lookups: Sequence[Index], parties: Sequence[Party]
) -> tuple[list[Rows], list[str]]:
    """Rows of each witness after agreement about families, and the families' names by code."""
    width = max(len(parties), 1)
    codes = {"": UNKNOWN}
    rows = [
        _rows(testimony, lookup, parties, codes, width)
        for testimony, lookup in zip(testimonies, lookups, strict=True)
    ]
    _join_below(rows, codes.get("http", -1), codes.get("grpc", -1))
    _join_vague(rows, codes.get("tcp", -1))
    _leave_out_hops(rows, testimonies, lookups, parties)
    _leave_out_strangers(rows, testimonies, parties, width)
    return rows, list(codes)


def _rows(
    testimony: Testimony, lookup: Index, parties: Sequence[Party], codes: dict[str, int], width: int
) -> Rows:
    traffic = testimony.witness.edges
    source, target = lookup[traffic.source], lookup[traffic.target]
    seen: dict[tuple[str, NodeKind, str], int] = {}
    found: list[int] = []
    for a, b, protocol in zip(source.tolist(), target.tolist(), traffic.protocol, strict=True):
        party = parties[a] if parties[a].kind is NodeKind.QUEUE else parties[b]
        code = seen.get((protocol, party.kind, party.engine))
        if code is None:
            family = protocol_family(protocol, party.kind, party.engine)
            code = codes.setdefault(family, len(codes)) if len(codes) < MOST_FAMILIES else UNKNOWN
            seen[(protocol, party.kind, party.engine)] = code
        found.append(code)
    return Rows(source * width + target, np.array(found, np.int64), np.ones(len(found), bool))


def _join_below(rows: Sequence[Rows], below: int, above: int) -> None:
    """One witness says http, another grpc, none says both: it is gRPC, which is HTTP to who looks no closer."""
    lower = [np.unique(one.pair[one.family == below]) for one in rows]
    upper = [np.unique(one.pair[one.family == above]) for one in rows]
    if not any(map(len, lower)) or not any(map(len, upper)):
        return
    both = np.concatenate([np.intersect1d(a, b) for a, b in zip(lower, upper, strict=True)])
    joined = np.setdiff1d(np.intersect1d(np.concatenate(lower), np.concatenate(upper)), both)
    for one in rows:
        one.family[(one.family == below) & np.isin(one.pair, joined)] = above


def _join_vague(rows: Sequence[Rows], tcp: int) -> None:
    """Rows without a protocol, or with connections only, join the one known family of their pair.

    Where a pair has several known families such a row would be counted twice and is left out. Connections beside
    requests that the same witness tells of are of their own.
    """
    vague = [(one.family == UNKNOWN) | (one.family == tcp) for one in rows]
    if not any(mask.any() for mask in vague):
        return
    plain = _known(rows, [~mask for mask in vague])
    loose = _known(rows, [(one.family == tcp) for one in rows])
    for one, mask in zip(rows, vague, strict=True):
        own = np.isin(one.pair, one.pair[~mask])
        _join(one, mask & ((one.family == UNKNOWN) | ~own), plain)
        _join(one, one.family == UNKNOWN, loose)


def _known(rows: Sequence[Rows], chosen: Sequence[Bools]) -> tuple[Index, Index, Index]:
    """Pairs (ascending) of the chosen rows, one family of each, and how many it has."""
    keys = np.unique(
        np.concatenate(
            [
                np.zeros(0, np.int64),
                *(
                    one.pair[mask] * MOST_FAMILIES + one.family[mask]
                    for one, mask in zip(rows, chosen, strict=True)
                ),
            ]
        )
    )
    pairs, first, count = np.unique(keys // MOST_FAMILIES, return_index=True, return_counts=True)
    return pairs, keys[first] % MOST_FAMILIES, count


def _join(one: Rows, wanted: Bools, known: tuple[Index, Index, Index]) -> None:
    pairs, family, count = known
    if not len(pairs) or not wanted.any():
        return
    at = np.minimum(np.searchsorted(pairs, one.pair), len(pairs) - 1)
    hit = wanted & (pairs[at] == one.pair)
    one.family = np.where(hit, family[at], one.family)
    one.counted &= ~(hit & (count[at] > 1))


def _leave_out_hops(
    rows: Sequence[Rows],
    testimonies: Sequence[Testimony],
    lookups: Sequence[Index],
    parties: Sequence[Party],
) -> None:
    """A service graph draws messages from producer to consumer; where others see the queue between, it says no more."""
    width = max(len(parties), 1)
    queue = np.array([party.kind is NodeKind.QUEUE for party in parties], bool)
    into: dict[int, set[int]] = defaultdict(set)
    out_of: dict[int, set[int]] = defaultdict(set)
    for one in rows:
        for pair in one.pair[queue[one.pair % width]].tolist() if len(one.pair) else ():
            into[pair // width].add(pair % width)
        for pair in one.pair[queue[one.pair // width]].tolist() if len(one.pair) else ():
            out_of[pair % width].add(pair // width)
    if not into or not out_of:
        return
    for one, testimony in zip(rows, testimonies, strict=True):
        for row, kind in enumerate(testimony.witness.edges.kind):
            source, target = divmod(int(one.pair[row]), width)
            if kind.value == "async" and not (queue[source] or queue[target]):
                one.counted[row] &= not into[source] & out_of[target]


def _leave_out_strangers(
    rows: Sequence[Rows], testimonies: Sequence[Testimony], parties: Sequence[Party], width: int
) -> None:
    """A mesh knows no name for who calls from outside it; where others name a caller it does not see, that is them."""
    client = np.array([party.kind is NodeKind.CLIENT for party in parties], bool)
    named = np.array([party.kind is NodeKind.SERVICE for party in parties], bool)
    for number, testimony in enumerate(testimonies):
        if testimony.kind not in _MESHES or not len(rows[number].pair):
            continue
        own = rows[number]
        others = [one.pair for i, one in enumerate(rows) if testimonies[i].kind is not testimony.kind]
        theirs = np.unique(np.concatenate([np.zeros(0, np.int64), *others]))
        unseen = np.setdiff1d(theirs[named[theirs // width]], own.pair)
        own.counted &= ~(client[own.pair // width] & np.isin(own.pair % width, unseen % width))
