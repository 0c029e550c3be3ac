"""Many witnesses to one row per node and per edge, without ever adding the rates of two sources.

Everything is columns: a node is an index into `Merged.parties`, an edge a (source, target, protocol family)
key. For each element the first witness in the order of `testimonies` that knows a number gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.model.fleet import EdgeKind, EdgeTraffic
from app.understand.columns import (
    Bools,
    Columns,
    Index,
    blank,
    doubted_of,
    summed,
    summed_rows,
    take,
    take_latency,
)
from app.understand.identity import Party, Resolver
from app.understand.same_edge import MOST_FAMILIES, same_edges
from app.understand.testimony import Testimony


@dataclass(slots=True)
class Merged:
    """What all witnesses together say. `ends` = (source, target) node index per edge; `spoken`: nodes of which
    somebody gave numbers of their own, not only of the calls towards them; `notes`: words of a witness about an
    edge, by (number of the testimony, index of the edge); `places`: per testimony the node index of each of its
    parties and the edge index of each of its edge rows (-1 = says nothing of its own).
    """

    testimonies: list[Testimony]
    parties: list[Party]
    nodes: Columns
    ends: Index
    protocols: list[str]
    kinds: list[EdgeKind]
    edges: Columns
    versions: dict[int, tuple[str, ...]]
    spoken: Bools
    notes: dict[tuple[int, int], tuple[str, ...]]
    places: list[tuple[Index, Index]]


def merge(testimonies: list[Testimony], resolver: Resolver, others: Sequence[Party] = ()) -> Merged:
    """Resolve all parties and merge their traffic; `others` are nodes that no witness need speak of."""
    resolver.learn(party for testimony in testimonies for party in testimony.witness.parties)
    parties: dict[str, Party] = {}
    index: dict[str, int] = {}
    lookups = [_indexes(testimony, resolver, parties, index) for testimony in testimonies]
    for party in others:
        if party.id not in index:
            index[party.id] = len(index)
            parties[party.id] = party
    found = list(parties.values())
    ends, protocols, kinds, rows = _edge_keys(testimonies, lookups, found)
    edges = _merge_edges(testimonies, rows, len(protocols))
    nodes, versions = _merge_nodes(testimonies, lookups, len(found))
    spoken = ~np.isnan(nodes.rps)
    _infer_from_edges(nodes, edges, ends)
    notes = _notes(testimonies, rows)
    places = list(zip(lookups, rows, strict=True))
    return Merged(testimonies, found, nodes, ends, protocols, kinds, edges, versions, spoken, notes, places)


def add_silent_edges(merged: Merged, known: Sequence[tuple[str, str, str, EdgeKind]]) -> None:
    """Append edges (source id, target id, protocol family, kind) that no witness speaks of, without numbers.

    Edges whose ends are no nodes are left out, and those of unknown protocol between two nodes that are
    connected otherwise.
    """
    if not known:
        return
    index = {party.id: i for i, party in enumerate(merged.parties)}
    pairs = {(source, target) for source, target in merged.ends.tolist()}
    rows = [(index[a], index[b], p, k) for a, b, p, k in known if a in index and b in index]
    rows = [row for row in rows if row[2] != "unknown" or (row[0], row[1]) not in pairs]
    if not rows:
        return
    merged.ends = np.concatenate([merged.ends, np.array([row[:2] for row in rows], np.int64)])
    merged.protocols += [row[2] for row in rows]
    merged.kinds += [row[3] for row in rows]
    merged.edges = merged.edges.joined(blank(merged.testimonies, len(rows)))


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
    columns, timed = blank(testimonies, count), np.zeros(count, bool)
    versions: dict[int, tuple[str, ...]] = {}
    for number, (testimony, lookup) in enumerate(zip(testimonies, lookups, strict=True)):
        traffic = testimony.witness.nodes
        columns.seen[number, lookup] = True
        if not len(traffic):
            continue
        rows = lookup[traffic.party]
        take(columns, number, testimony, rows, traffic)
        take_latency(columns, columns.latency, timed, testimony, rows, traffic.latency, traffic.floor)
        for row, version in zip(rows.tolist(), traffic.versions, strict=True):
            if version and version not in versions.get(row, ()):
                versions[row] = (*versions.get(row, ()), version)
    columns.doubted = doubted_of(columns, testimonies)
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
    rps = summed(at, edges.rps[rows], count)
    inferred = lacking & (np.bincount(at, minlength=count) > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        for name in ("failed", "caller_errors"):
            part = np.where(edges.rps[rows] > 0, getattr(edges, name)[rows] * edges.rps[rows], 0.0)
            share = np.where(rps > 0, summed(at, part, count) / rps, np.nan)
            setattr(nodes, name, np.where(inferred, share, getattr(nodes, name)))
    nodes.rps = np.where(inferred, rps, nodes.rps)
    nodes.raw = np.where(inferred, summed(at, edges.raw[rows], count), nodes.raw)
    inbound = np.where(
        edges.server_latency[rows].sum(axis=1, keepdims=True) > 0,
        edges.server_latency[rows],
        edges.latency[rows],
    )
    bare = inferred & (nodes.latency.sum(axis=1) == 0)
    nodes.latency[bare] = summed_rows(at, inbound, count)[bare]
    np.maximum.at(nodes.floor, at, np.where(bare[at], edges.floor[rows], 0.0))
    newest_word = np.full(count, -1, np.int64)
    np.maximum.at(newest_word, at, edges.chosen[rows])  # the least trusted of them: its age is the oldest
    nodes.chosen = np.where(inferred, newest_word, nodes.chosen)
    nodes.doubted |= inferred & (np.bincount(at, edges.doubted[rows], minlength=count) > 0)
    for number in range(len(nodes.rates)):
        told = ~np.isnan(edges.rates[number])
        sums = summed(target[told], edges.rates[number][told], count)
        has = inferred & (np.bincount(target[told], minlength=count) > 0)
        nodes.rates[number] = np.where(has, sums, nodes.rates[number])


# Edges -------------------------------------------------------------------------------------------


def _edge_keys(
    testimonies: list[Testimony],
    lookups: list[Index],
    parties: list[Party],
) -> tuple[Index, list[str], list[EdgeKind], list[Index]]:
    """Distinct edges, and for each witness the edge index of its rows (-1 = row says nothing of its own)."""
    width = max(len(parties), 1)
    agreed, families = same_edges(testimonies, lookups, parties)
    keys = [one.key for one in agreed]
    stack = np.unique(np.concatenate([*keys, np.zeros(0, np.int64)]))
    stack = stack[stack >= 0]
    rows = [np.where(key >= 0, np.searchsorted(stack, np.maximum(key, 0)), -1) for key in keys]
    kinds = [EdgeKind.SYNC] * len(stack)
    for testimony, row in zip(testimonies, rows, strict=True):
        for at, kind in zip(row.tolist(), testimony.witness.edges.kind, strict=True):
            if kind is EdgeKind.ASYNC and at >= 0:
                kinds[at] = kind
    pairs, codes = stack // MOST_FAMILIES, stack % MOST_FAMILIES
    ends = np.stack([pairs // width, pairs % width], axis=1)
    return ends, [families[code] or "unknown" for code in codes.tolist()], kinds, rows


def _merge_edges(testimonies: list[Testimony], rows: list[Index], count: int) -> Columns:
    columns = blank(testimonies, count)
    timed, server_timed = np.zeros(count, bool), np.zeros(count, bool)
    for number, (testimony, row) in enumerate(zip(testimonies, rows, strict=True)):
        traffic, own = testimony.witness.edges, row >= 0
        if not own.any():
            continue
        at = row[own]
        columns.seen[number, at] = True
        part = _rows_of(traffic, own)
        take(columns, number, testimony, at, part)
        for into, given, latency in (
            (columns.latency, timed, part.client_latency),
            (columns.server_latency, server_timed, part.server_latency),
        ):
            take_latency(columns, into, given, testimony, at, latency, part.floor)
    columns.doubted = doubted_of(columns, testimonies)
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
        None if traffic.floor is None else traffic.floor[own],
    )


def _notes(testimonies: list[Testimony], rows: list[Index]) -> dict[tuple[int, int], tuple[str, ...]]:
    found: dict[tuple[int, int], dict[str, None]] = {}
    for number, (testimony, row) in enumerate(zip(testimonies, rows, strict=True)):
        for at, note in zip(row.tolist(), testimony.witness.edges.notes, strict=False):
            if note and at >= 0:
                found.setdefault((number, at), {})[note] = None
    return {key: tuple(notes) for key, notes in found.items()}
