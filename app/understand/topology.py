"""Snapshots of one moment to the Topology: who calls whom, how fast, how broken, and how sure we are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from app.model.fleet import EdgeKind, Freshness, NodeKind, Snapshot, SourceStatus, Topology
from app.model.series import Floats
from app.understand import elements
from app.understand import memory as remembered
from app.understand.columns import Bools, Columns, Index
from app.understand.crossing import entry_shares
from app.understand.disagreement import disagreement
from app.understand.identity import Party, Resolver
from app.understand.judge import Elements, Judged, Quantiles, Setting, judge, measured, silence_is_zero
from app.understand.limits import THRESHOLDS, Own, RuleBook, Subject, Thresholds
from app.understand.memory import KnownEdge, Mark, Memory
from app.understand.merge import Merged, add_silent_edges, merge
from app.understand.past import from_frame
from app.understand.pods import PodsVerdict, judge_pods
from app.understand.remembered import forgotten_nodes
from app.understand.testimony import Testimony, is_fresh, testimonies
from app.understand.usual import Baselines

__all__ = ["Assembly", "assemble", "build", "from_frame"]

DEFAULT_WINDOW = timedelta(seconds=60)
_INVENTORY_WINDOW = timedelta(seconds=60)
_HEALTHY, _UNKNOWN, _IDLE = 0, 3, 4


@dataclass(frozen=True, slots=True)
class Assembly:
    """A topology with what it was made from; `memory` goes back into the next assembly."""

    topology: Topology
    memory: bytes
    merged: Merged
    node_ids: tuple[str, ...]
    edge_ids: tuple[str, ...]


def assemble(
    cluster: str,
    snapshots: Sequence[Snapshot],
    freshness: Sequence[Freshness],
    resolver: Resolver,
    previous_memory: bytes | None,
    baselines: Baselines,
    now: datetime,
) -> tuple[Topology, bytes]:
    """The topology of `cluster` at `now` and the memory for the next call."""
    built = build(cluster, snapshots, freshness, resolver, previous_memory, baselines, now)
    return built.topology, built.memory


def build(
    cluster: str,
    snapshots: Sequence[Snapshot],
    freshness: Sequence[Freshness],
    resolver: Resolver,
    previous_memory: bytes | None,
    baselines: Baselines,
    now: datetime,
    *,
    limits: Thresholds = THRESHOLDS,
    book: RuleBook | None = None,
    watching_since: datetime | None = None,
) -> Assembly:
    """`assemble`, keeping the merged columns (for the minute's Frame). `book` holds the configured limits."""
    states = tuple(entry for entry in freshness if entry.source.startswith(f"{cluster}/"))
    heard = testimonies(cluster, snapshots, states, now)
    memory = remembered.load(previous_memory)
    resolver.learn(party for testimony in heard for party in testimony.witness.parties)
    kubernetes = _Kubernetes.of(cluster, snapshots, states, now)
    known = [resolver.of_workload(workload) for workload in resolver.workloads.inventory.workloads]
    gone, others = _from_memory(memory, resolver, known, heard, kubernetes, now)
    merged = merge(heard, resolver, [*known, *others])
    add_silent_edges(merged, _silent_edges(memory, merged, gone, now))
    setting = Setting(heard, now, baselines, limits, watching_since)
    judged = _Judged.of(cluster, setting, merged, memory, resolver, kubernetes, states, book or RuleBook())
    window = max((t.witness.window for t in heard if t.fresh), default=DEFAULT_WINDOW)
    node_shares, edge_shares = entry_shares(merged)
    topology = Topology(
        cluster=cluster,
        as_of=now,
        window=window,
        nodes=judged.nodes(cluster, resolver, kubernetes.as_of, window, node_shares),
        edges=judged.edges(window, edge_shares),
        freshness=states,
        notices=_notices(snapshots, merged),
    )
    return Assembly(topology, remembered.dump(judged.memory()), merged, judged.node_ids, judged.edge_ids)


@dataclass(frozen=True, slots=True)
class _Kubernetes:
    """The inventory's source: its name, its age, and whether its word still counts."""

    source: str
    as_of: datetime | None
    fresh: bool

    @classmethod
    def of(
        cls, cluster: str, snapshots: Iterable[Snapshot], states: Sequence[Freshness], now: datetime
    ) -> _Kubernetes:
        for snapshot in snapshots:
            if snapshot.inventory is not None:
                state = next((s for s in states if s.source == f"{cluster}/{snapshot.source}"), None)
                fresh = is_fresh(snapshot.as_of, _INVENTORY_WINDOW, state, now)
                return cls(snapshot.source, snapshot.as_of, fresh)
        return cls("", None, fresh=False)


def _from_memory(
    memory: Memory,
    resolver: Resolver,
    known: Sequence[Party],
    heard: Sequence[Testimony],
    kubernetes: _Kubernetes,
    now: datetime,
) -> tuple[set[str], list[Party]]:
    """Ids of nodes to forget, and the other nodes of the last day that nobody speaks of now."""
    spoken = {resolver.node(party).id: resolver.node(party) for t in heard for party in t.witness.parties}
    present = spoken | {party.id: party for party in known}
    gone = forgotten_nodes(memory, resolver, present, kubernetes.fresh, now)
    others = [node.party(key) for key, node in memory.nodes.items() if key not in present and key not in gone]
    return gone, others


def _silent_edges(
    memory: Memory, merged: Merged, gone: set[str], now: datetime
) -> list[tuple[str, str, str, EdgeKind]]:
    """Edges of the last day that nobody speaks of now."""
    spoken = set(elements.edge_ids(merged, [party.id for party in merged.parties]))
    oldest = (now - remembered.KEPT).timestamp()
    found = []
    for key in memory.edges.keys() - spoken:
        source, target, protocol = key.split(">", 2)
        edge = memory.edges[key]
        if edge.mark.seen >= oldest and source not in gone and target not in gone:
            found.append((source, target, protocol, EdgeKind(edge.kind)))
    return sorted(found)


@dataclass(slots=True)
class _Judged:
    """Merged columns with their marks, quantiles and health."""

    merged: Merged
    node_ids: tuple[str, ...]
    edge_ids: tuple[str, ...]
    node_marks: list[Mark]
    edge_marks: list[Mark]
    node_latency: Quantiles
    edge_latency: Quantiles
    node_health: list[elements.Health]
    edge_health: list[elements.Health]

    @classmethod
    def of(
        cls,
        cluster: str,
        setting: Setting,
        merged: Merged,
        memory: Memory,
        resolver: Resolver,
        kubernetes: _Kubernetes,
        states: Sequence[Freshness],
        book: RuleBook,
    ) -> _Judged:
        node_ids = tuple(party.id for party in merged.parties)
        edge_ids = elements.edge_ids(merged, node_ids)
        node_marks = [memory.nodes[key].mark if key in memory.nodes else Mark() for key in node_ids]
        edge_marks = [memory.edges[key].mark if key in memory.edges else Mark() for key in edge_ids]
        talks = _callers(merged.edges, merged.ends, len(node_ids))
        silence_is_zero(merged.nodes, node_marks, setting.testimonies)
        silence_is_zero(merged.edges, edge_marks, setting.testimonies)
        node_latency, edge_latency = measured(merged.nodes), measured(merged.edges)
        pods = _pod_verdicts(merged.parties, resolver, kubernetes, setting.now)
        no_edges, late = np.zeros(len(edge_ids), bool), edge_latency.own[:, 1]
        nodes = Elements(
            node_ids,
            merged.nodes,
            node_latency.own[:, 1],
            node_marks,
            pods=pods,
            talks=talks,
            without_numbers=_without_numbers(cluster, merged, talks, pods, kubernetes, states),
            server_fine=np.full(len(node_ids), np.nan),
            own=_own_of_nodes(book, cluster, merged),
            compared=False,  # one source counts HTTP requests, another everything that a service receives
        )
        judged = judge(setting, nodes)
        edges = Elements(
            edge_ids,
            merged.edges,
            np.where(np.isnan(late), edge_latency.server[:, 1], late),
            edge_marks,
            pods=[None] * len(edge_ids),
            talks=no_edges,
            without_numbers=np.full(len(edge_ids), _UNKNOWN, np.int64),
            server_fine=_server_fine(merged, judged, node_latency, edge_latency),
            own=_own_of_edges(book, cluster, merged),
        )
        node_health, edge_health = judged.health, judge(setting, edges).health
        return cls(
            merged,
            node_ids,
            edge_ids,
            node_marks,
            edge_marks,
            node_latency,
            edge_latency,
            node_health,
            edge_health,
        )

    def nodes(
        self,
        cluster: str,
        resolver: Resolver,
        inventory_as_of: datetime | None,
        window: timedelta,
        shares: Floats,
    ) -> tuple[elements.Node, ...]:
        """Nodes, worst first."""
        return elements.nodes(
            cluster,
            self.merged,
            self.node_latency,
            self.node_health,
            resolver.workloads,
            inventory_as_of,
            window,
            shares,
        )

    def edges(self, window: timedelta, shares: Floats) -> tuple[elements.Edge, ...]:
        """Edges, worst first."""
        return elements.edges(
            self.merged, self.node_ids, self.edge_ids, self.edge_latency, self.edge_health, window, shares
        )

    def memory(self) -> Memory:
        """What the next evaluation has to know."""
        nodes = {
            party.id: remembered.known_node(party, mark)
            for party, mark in zip(self.merged.parties, self.node_marks, strict=True)
        }
        rows = zip(self.edge_ids, self.edge_marks, self.merged.kinds, strict=True)
        edges = {key: KnownEdge(mark, str(kind)) for key, mark, kind in rows}
        return Memory(nodes=nodes, edges=edges)


_UNCHANGED = 1.2  # times its usual p95 up to which a callee is as quick as ever
_MINE = 0.5  # share of the caller's wait that the callee works at most, where it is not the one to blame


def _server_fine(merged: Merged, nodes: Judged, own: Quantiles, calls: Quantiles) -> Floats:
    """p95 of the callee per edge where, by its own word, it is as quick as usual and not what the caller waits for."""
    target, server = merged.ends[:, 1], calls.server[:, 1]
    told = ~np.isnan(server) | merged.spoken[target]
    callee = own.own[:, 1]
    with np.errstate(invalid="ignore"):
        fine = ~nodes.slower & (callee <= _UNCHANGED * nodes.usual_p95)
        server = np.where(np.isnan(server), callee[target], server)
        return np.where(told & fine[target] & (server <= _MINE * calls.own[:, 1]), server, np.nan)


def _own_of_nodes(book: RuleBook, cluster: str, merged: Merged) -> list[Own]:
    """The configured limits per node; empty without rules."""
    if not book.rules:
        return []
    return [book.own(Subject(cluster, p.namespace or "", p.name, p.kind.value)) for p in merged.parties]


def _own_of_edges(book: RuleBook, cluster: str, merged: Merged) -> list[Own]:
    """The configured limits per edge: those of the callee, and those for this caller."""
    if not book.rules:
        return []
    parties = merged.parties
    pairs = [(parties[source], parties[target]) for source, target in merged.ends.tolist()]
    return [
        book.own(Subject(cluster, callee.namespace or "", callee.name, callee.kind.value, caller.name))
        for caller, callee in pairs
    ]


def _pod_verdicts(
    parties: Sequence[Party], resolver: Resolver, kubernetes: _Kubernetes, now: datetime
) -> list[PodsVerdict | None]:
    if not kubernetes.fresh:
        return [None] * len(parties)
    workloads = resolver.workloads
    found: list[PodsVerdict | None] = []
    for party in parties:
        workload = (
            workloads.by_name.get((party.namespace or "", party.workload[1])) if party.workload else None
        )
        found.append(judge_pods(workload, workloads.pods.get(workload.uid, []), now) if workload else None)
    return found


def _without_numbers(
    cluster: str,
    merged: Merged,
    talks: Bools,
    pods: Sequence[PodsVerdict | None],
    kubernetes: _Kubernetes,
    states: Sequence[Freshness],
) -> Index:
    """Verdict for nodes that no witness gives inbound numbers of.

    Who calls others lives. A workload without traffic is idle while every traffic source is alive, unknown
    while one is silent or tells no number, and judged by its pods alone where there is no traffic source at all.
    """
    heard = merged.testimonies
    traffic = [state for state in states if state.source != f"{cluster}/{kubernetes.source}"]
    silent = any(state.status is not SourceStatus.OK for state in traffic) or any(not t.fresh for t in heard)
    if any(testimony.fresh for testimony in heard) and not silent:
        workload = _IDLE
    else:
        workload = _UNKNOWN if traffic or heard else _HEALTHY
    quiet = np.array([_UNKNOWN if verdict is None else workload for verdict in pods], dtype=np.int64)
    quiet = np.where(merged.nodes.garbled, _UNKNOWN, quiet)
    clients = [party.kind is NodeKind.CLIENT for party in merged.parties]
    return np.where(talks, _HEALTHY, np.where(clients, _IDLE, quiet))


def _callers(edges: Columns, ends: Index, count: int) -> Bools:
    """Nodes with a fresh call to another."""
    believed = (edges.chosen >= 0) & (edges.chosen < edges.fresh_count) & (edges.rps > 0)
    return np.asarray(np.bincount(ends[believed, 0], minlength=count) > 0)


def _notices(snapshots: Iterable[Snapshot], merged: Merged) -> tuple[str, ...]:
    told = [f"{snapshot.source}: {notice}" for snapshot in snapshots for notice in snapshot.notices]
    disagreeing = int(disagreement(merged.edges, merged.testimonies).found.sum())
    if disagreeing:
        noun = "connection" if disagreeing == 1 else "connections"
        told.append(f"sources disagree by more than a factor of 2 on the rate of {disagreeing} {noun}")
    return tuple(told)
