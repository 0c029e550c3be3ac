"""Many witnesses to one row per node and per edge, without ever adding the rates of two sources.

Everything is columns: a node is an index into `Merged.parties`, an edge a (source, target, protocol family)
key. For each element the first witness in the order of `testimonies` that knows a number gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.model.fleet import EdgeKind, EdgeTraffic, NodeKind, NodeTraffic
from app.model.series import BUCKETS, Floats
from app.understand.identity import Party, Resolver
from app.understand.names import protocol_family
from app.understand.testimony import Testimony

Index = NDArray[np.int64]
Bools = NDArray[np.bool_]
_NOBODY = np.iinfo(np.int64).max


@dataclass(slots=True)
class Columns:
    """Merged numbers of n elements. NaN = unknown.

    rps: per second. failed, caller_errors: shares of the requests. raw: requests really looked at in the
    window of the chosen witness. latency, server_latency: (n, BUCKETS) counts. chosen: index of the
    testimony the rate rests on (-1 none); those below `fresh_count` are fresh. doubted: a better witness
    than the chosen one, or the chosen one itself, has gone silent. rates, seen: (testimonies, n) requests
    per second of each (NaN = gave none), and whether it knows the element at all.
    """

    rps: Floats
    failed: Floats
    caller_errors: Floats
    raw: Floats
    latency: Floats
    server_latency: Floats
    chosen: Index
    doubted: Bools
    rates: Floats
    seen: Bools
    fresh_count: int

    def __len__(self) -> int:
        return len(self.rps)


@dataclass(slots=True)
class Merged:
    """What all witnesses together say. `ends` = (source, target) node index per edge."""

    testimonies: list[Testimony]
    parties: list[Party]
    nodes: Columns
    ends: Index
    protocols: list[str]
    kinds: list[EdgeKind]
    edges: Columns
    versions: dict[int, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Tie:
    """An edge that is known without any witness of this moment: node ids, protocol family, kind."""

    source: str
    target: str
    protocol: str
    kind: EdgeKind


def merge(
    testimonies: list[Testimony],
    resolver: Resolver,
    others: Sequence[Party] = (),
    ties: Sequence[Tie] = (),
) -> Merged:
    """Resolve all parties and merge their traffic.

    No witness need speak of `others`, nor of `ties`, whose ends must be among the nodes.
    """
    resolver.learn(party for testimony in testimonies for party in testimony.witness.parties)
    parties: dict[str, Party] = {}
    index: dict[str, int] = {}
    lookups = [_indexes(testimony, resolver, parties, index) for testimony in testimonies]
    for party in others:
        if party.id not in index:
            index[party.id] = len(index)
            parties[party.id] = party
    found = list(parties.values())
    known = [
        (index[tie.source], index[tie.target], tie)
        for tie in ties
        if {tie.source, tie.target} <= index.keys()
    ]
    ends, protocols, kinds, rows = _edge_keys(testimonies, lookups, found, known)
    edges = _merge_edges(testimonies, rows, len(protocols))
    nodes, versions = _merge_nodes(testimonies, lookups, len(found))
    _infer_from_edges(nodes, edges, ends)
    return Merged(testimonies, found, nodes, ends, protocols, kinds, edges, versions)


def _indexes(
    testimony: Testimony, resolver: Resolver, parties: dict[str, Party], index: dict[str, int]
) -> Index:
    """Node index of each party of a witness; new nodes are appended."""
    found = np.empty(len(testimony.witness.parties), np.int64)
    for i, identity in enumerate(testimony.witness.parties):
        party = resolver.node(identity)
        known = parties.setdefault(party.id, party)
        found[i] = index.setdefault(party.id, len(index))
        if party.detail and not known.detail:
            parties[party.id] = party
    return found


# Nodes -------------------------------------------------------------------------------------------


def _merge_nodes(
    testimonies: list[Testimony], lookups: list[Index], count: int
) -> tuple[Columns, dict[int, tuple[str, ...]]]:
    columns = _blank(testimonies, count)
    versions: dict[int, tuple[str, ...]] = {}
    for number, (testimony, lookup) in enumerate(zip(testimonies, lookups, strict=True)):
        traffic = testimony.witness.nodes
        columns.seen[number, lookup] = True
        if not len(traffic):
            continue
        rows = lookup[traffic.party]
        _take(columns, number, testimony, rows, traffic)
        _take_latency(columns.latency, columns, testimony, rows, traffic.latency)
        for row, version in zip(rows.tolist(), traffic.versions, strict=True):
            if version and version not in versions.get(row, ()):
                versions[row] = (*versions.get(row, ()), version)
    columns.doubted = _doubted(columns, testimonies)
    return columns, versions


def _infer_from_edges(nodes: Columns, edges: Columns, ends: Index) -> None:
    """Nodes without a word of their own are what is said about the calls towards them."""
    count = len(nodes)
    target = ends[:, 1]
    known = ~np.isnan(edges.rps)
    lacking = np.isnan(nodes.rps)
    rows = known & lacking[target] if len(edges) else known
    if not rows.any():
        return
    at = target[rows]
    rps = _summed(at, edges.rps[rows], count)
    inferred = lacking & (np.bincount(at, minlength=count) > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        for name in ("failed", "caller_errors"):
            part = np.where(edges.rps[rows] > 0, getattr(edges, name)[rows] * edges.rps[rows], 0.0)
            share = np.where(rps > 0, _summed(at, part, count) / rps, np.nan)
            setattr(nodes, name, np.where(inferred, share, getattr(nodes, name)))
    nodes.rps = np.where(inferred, rps, nodes.rps)
    nodes.raw = np.where(inferred, _summed(at, edges.raw[rows], count), nodes.raw)
    inbound = np.where(
        edges.server_latency[rows].sum(axis=1, keepdims=True) > 0,
        edges.server_latency[rows],
        edges.latency[rows],
    )
    bare = inferred & (nodes.latency.sum(axis=1) == 0)
    nodes.latency[bare] = _summed_rows(at, inbound, count)[bare]
    newest_word = np.full(count, -1, np.int64)
    np.maximum.at(newest_word, at, edges.chosen[rows])  # the least trusted of them: its age is the oldest
    nodes.chosen = np.where(inferred, newest_word, nodes.chosen)
    nodes.doubted |= inferred & (np.bincount(at, edges.doubted[rows], minlength=count) > 0)
    for number in range(len(nodes.rates)):
        told = ~np.isnan(edges.rates[number])
        sums = _summed(target[told], edges.rates[number][told], count)
        has = inferred & (np.bincount(target[told], minlength=count) > 0)
        nodes.rates[number] = np.where(has, sums, nodes.rates[number])


# Edges -------------------------------------------------------------------------------------------


def _edge_keys(
    testimonies: list[Testimony],
    lookups: list[Index],
    parties: list[Party],
    ties: list[tuple[int, int, Tie]],
) -> tuple[Index, list[str], list[EdgeKind], list[Index]]:
    """Distinct edges, and for each witness the edge index of its rows (-1 = row says nothing of its own)."""
    codes: dict[str, int] = {"": 0}
    width = max(len(parties), 1)
    keyed: list[tuple[Index, Index]] = []
    for testimony, lookup in zip(testimonies, lookups, strict=True):
        traffic = testimony.witness.edges
        pair = lookup[traffic.source] * width + lookup[traffic.target]
        keyed.append((pair, _family_codes(traffic, lookup, parties, codes)))
    keys = [_settle(pair, family, keyed) for pair, family in keyed]
    extra = [
        (source * width + target) * _WIDEST + codes.setdefault(tie.protocol, len(codes))
        for source, target, tie in ties
    ]
    stack = np.unique(np.concatenate([*keys, np.array(extra, np.int64)]))
    stack = stack[stack >= 0]
    rows = [np.where(key >= 0, np.searchsorted(stack, np.maximum(key, 0)), -1) for key in keys]
    kinds = [EdgeKind.SYNC] * len(stack)
    for testimony, row in zip(testimonies, rows, strict=True):
        for at, kind in zip(row.tolist(), testimony.witness.edges.kind, strict=True):
            if kind is EdgeKind.ASYNC and at >= 0:
                kinds[at] = kind
    for key, (_, _, tie) in zip(extra, ties, strict=True):
        if tie.kind is EdgeKind.ASYNC:
            kinds[int(np.searchsorted(stack, key))] = tie.kind
    names = list(codes)
    pairs, families = stack // _WIDEST, stack % _WIDEST
    ends = np.stack([pairs // width, pairs % width], axis=1)
    return ends, [names[code] or "unknown" for code in families.tolist()], kinds, rows


_WIDEST = 4096  # protocol families told apart; a fleet has a dozen


def _family_codes(traffic: EdgeTraffic, lookup: Index, parties: list[Party], codes: dict[str, int]) -> Index:
    """The protocol family of each row, as a code; `codes` grows with families not met before."""
    seen: dict[tuple[str, NodeKind, str], int] = {}
    kinds = [(party.kind, party.engine) for party in parties]
    found: list[int] = []
    ends = zip(
        lookup[traffic.source].tolist(), lookup[traffic.target].tolist(), traffic.protocol, strict=True
    )
    for source, target, protocol in ends:
        kind, engine = kinds[source] if kinds[source][0] is NodeKind.QUEUE else kinds[target]
        code = seen.get((protocol, kind, engine))
        if code is None:
            family = protocol_family(protocol, kind, engine)
            code = codes.setdefault(family, len(codes)) if len(codes) < _WIDEST else 0
            seen[(protocol, kind, engine)] = code
        found.append(code)
    return np.array(found, dtype=np.int64)


def _settle(pair: Index, family: Index, keyed: list[tuple[Index, Index]]) -> Index:
    """Keys of a witness' rows; rows of unknown protocol join the one known family of their pair.

    Where a pair has several known families such a row would be counted twice and is left out.
    """
    unknown = family == 0
    if not unknown.any():
        return np.asarray(pair * _WIDEST + family)
    all_pairs = np.concatenate([p[f > 0] for p, f in keyed])
    all_families = np.concatenate([f[f > 0] for _, f in keyed])
    known, first = np.unique(all_pairs * _WIDEST + all_families, return_index=True)
    pairs, start, count = np.unique(all_pairs[first], return_index=True, return_counts=True)
    settled = family.copy()
    if len(pairs):
        at = np.minimum(np.searchsorted(pairs, pair), len(pairs) - 1)
        hit = unknown & (pairs[at] == pair)
        settled = np.where(hit & (count[at] == 1), known[start[at]] % _WIDEST, settled)
        settled = np.where(hit & (count[at] > 1), -1, settled)
    return np.where(settled < 0, -1, pair * _WIDEST + settled)


def _merge_edges(testimonies: list[Testimony], rows: list[Index], count: int) -> Columns:
    columns = _blank(testimonies, count)
    for number, (testimony, row) in enumerate(zip(testimonies, rows, strict=True)):
        traffic, own = testimony.witness.edges, row >= 0
        if not own.any():
            continue
        at = row[own]
        columns.seen[number, at] = True
        part = _rows_of(traffic, own)
        _take(columns, number, testimony, at, part)
        _take_latency(columns.latency, columns, testimony, at, part.client_latency)
        _take_latency(columns.server_latency, columns, testimony, at, part.server_latency)
    columns.doubted = _doubted(columns, testimonies)
    return columns


def _rows_of(traffic: EdgeTraffic, own: Bools) -> EdgeTraffic:
    if own.all():
        return traffic
    picked = np.flatnonzero(own)
    return EdgeTraffic(
        traffic.source[own],
        traffic.target[own],
        traffic.requests[own],
        traffic.failed[own],
        traffic.caller_errors[own],
        traffic.raw[own],
        traffic.client_latency[own],
        traffic.server_latency[own],
        tuple(traffic.protocol[i] for i in picked),
        tuple(traffic.kind[i] for i in picked),
    )


# Taking numbers ----------------------------------------------------------------------------------


def _blank(testimonies: list[Testimony], count: int) -> Columns:
    def nan() -> Floats:
        return np.full(count, np.nan)

    return Columns(
        rps=nan(),
        failed=nan(),
        caller_errors=nan(),
        raw=nan(),
        latency=np.zeros((count, BUCKETS)),
        server_latency=np.zeros((count, BUCKETS)),
        chosen=np.full(count, -1, np.int64),
        doubted=np.zeros(count, bool),
        rates=np.full((len(testimonies), count), np.nan),
        seen=np.zeros((len(testimonies), count), bool),
        fresh_count=sum(testimony.fresh for testimony in testimonies),
    )


def _take(
    columns: Columns, number: int, testimony: Testimony, rows: Index, traffic: NodeTraffic | EdgeTraffic
) -> None:
    """Give the rates of one witness to the elements that have none yet."""
    count = len(columns)
    requests = _summed(rows, _sane(traffic.requests), count)
    told = (np.bincount(rows, minlength=count) > 0) & ~np.isnan(requests)
    rps = requests / testimony.seconds
    columns.rates[number] = np.where(told, rps, np.nan)
    mine = told & (columns.chosen < 0)
    columns.chosen[mine] = number
    columns.rps[mine] = rps[mine]
    columns.raw[mine] = _summed(rows, _sane(traffic.raw), count)[mine]
    columns.failed[mine] = _share(_summed(rows, _sane(traffic.failed), count), requests)[mine]
    if isinstance(traffic, EdgeTraffic):
        errors = _summed(rows, _sane(traffic.caller_errors), count)
        columns.caller_errors[mine] = _share(errors, requests)[mine]


def _take_latency(into: Floats, columns: Columns, testimony: Testimony, rows: Index, latency: Floats) -> None:
    """Give latency to the elements that have none; a silent witness may not speak beside a fresh one."""
    clean = np.where(np.isfinite(latency) & (latency > 0), latency, 0.0)
    summed = _summed_rows(rows, clean, len(columns))
    lacking = (into.sum(axis=1) == 0) & (summed.sum(axis=1) > 0)
    if not testimony.fresh:
        lacking &= (columns.chosen < 0) | (columns.chosen >= columns.fresh_count)
    into[lacking] = summed[lacking]


def _doubted(columns: Columns, testimonies: list[Testimony]) -> Bools:
    """Elements whose chosen witness is silent, or of which a more trusted witness has fallen silent."""
    if not testimonies:
        return columns.doubted
    ranks = np.array([testimony.rank for testimony in testimonies])
    fresh = np.array([testimony.fresh for testimony in testimonies])
    silent = columns.seen & ~fresh[:, None]
    best_silent = np.where(silent, ranks[:, None], _NOBODY).min(axis=0)
    chosen_rank = np.where(columns.chosen >= 0, ranks[columns.chosen], _NOBODY)
    return np.asarray((best_silent < _NOBODY) & (best_silent <= chosen_rank))


def _sane(counts: Floats) -> Floats:
    """Counts as they can be: infinite and negative ones are unknown."""
    return np.where(np.isfinite(counts) & (counts >= 0), counts, np.nan)


def _share(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, np.minimum(part / whole, 1.0), np.nan)


def _summed(rows: Index, values: Floats, count: int) -> Floats:
    return np.bincount(rows, values, minlength=count).astype(np.float64)


def _summed_rows(rows: Index, values: Floats, count: int) -> Floats:
    """Rows of `values` added per index, shape (count, BUCKETS)."""
    out = np.zeros((count, BUCKETS))
    if not len(rows):
        return out
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    if len(starts) == len(rows):
        out[rows] = values
    else:
        out[ordered[starts]] = np.add.reduceat(values[order], starts, axis=0)
    return out
