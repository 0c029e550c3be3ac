"""What an expression selects of a topology: nodes and connections (reference: inspections 12.3, evaluation).

Truth is three-valued only for flags without a plain opposite (`healthy`): a comparison with what is not known is
false, and its negation true. A group of ANDs that names anything of a connection selects connections.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.model.fleet import Edge, EdgeKind, HealthStatus, Node, NodeKind, Topology
from app.model.inventory import Inventory
from app.model.series import Floats
from app.understand.expression import And, Not, Op, Or, Term, Tree, parse, terms
from app.understand.fields import Field, Of, Scope, Type

Bools = NDArray[np.bool_]
_BAD = (HealthStatus.FAILING, HealthStatus.DEGRADED)
_NUMBERS: dict[Op, Callable[[Any, Any], Any]] = {
    Op.EQ: operator.eq,
    Op.NE: operator.ne,
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
}
_TEXTS: dict[Op, Callable[[str, Any], bool]] = {
    Op.EQ: operator.eq,
    Op.HAS: lambda text, wanted: wanted in text,
    Op.STARTS: lambda text, wanted: text.startswith(wanted),
    Op.ENDS: lambda text, wanted: text.endswith(wanted),
    Op.LIKE: lambda text, wanted: wanted.search(text),
}
_OPPOSITES = {
    Op.NE: Op.EQ,
    Op.HAS_NOT: Op.HAS,
    Op.STARTS_NOT: Op.STARTS,
    Op.ENDS_NOT: Op.ENDS,
    Op.UNLIKE: Op.LIKE,
    Op.NOT_IN: Op.IN,
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What Kubernetes tells of a node beyond the topology: start of its last rollout, restarts, labels."""

    changed: datetime | None = None
    restarts: int | None = None
    labels: Mapping[str, str] | None = None


NO_FACTS: Mapping[str, Facts] = {}


@dataclass(frozen=True, slots=True)
class Selection:
    """Masks over the nodes and edges of a topology. `notes` are sentences about what nothing is known of."""

    nodes: Bools
    edges: Bools
    notes: tuple[str, ...] = ()

    @property
    def on_edges(self) -> bool:
        """Whether any connection was selected by itself."""
        return bool(self.edges.any())


def select(text: str, topology: Topology, facts: Mapping[str, Facts] = NO_FACTS) -> Selection | None:
    """What an expression selects; None for an empty one. Raises ExpressionError."""
    tree = parse(text)
    if tree is None:
        return None
    world = _World(topology, facts)
    nodes, edges = np.zeros(len(topology.nodes), bool), np.zeros(len(topology.edges), bool)
    for branch in tree.parts if isinstance(tree, Or) else (tree,):
        _add(branch, world, nodes, edges)
    return Selection(nodes, edges, _notes(tree))


def needs_facts(text: str) -> bool:
    """Whether an expression asks what only the inventory tells. Raises ExpressionError."""
    tree = parse(text)
    asked = {term.field.name for term in terms(tree)} if tree is not None else set()
    return any(name in ("changed", "restarts", "tier") or name.startswith("label:") for name in asked)


def facts_of(topology: Topology, inventories: Mapping[str, Inventory]) -> dict[str, Facts]:
    """Facts by node id, from the inventory of each cluster; rollouts after the topology's moment do not count."""
    found: dict[str, Facts] = {}
    for cluster, inventory in inventories.items():
        workloads = {(w.namespace, w.kind, w.name): w for w in inventory.workloads}
        began: dict[str, datetime] = {}
        for revision in inventory.revisions:
            if revision.created is not None and revision.created <= topology.as_of:
                began[revision.owner_uid] = max(
                    revision.created, began.get(revision.owner_uid, revision.created)
                )
        restarts: Counter[str] = Counter()
        for pod in inventory.pods:
            restarts[pod.owner_uid] += pod.restarts
        owners = _owners(inventory)
        for node in topology.nodes:
            if node.cluster != cluster or node.workload is None:
                continue
            workload = workloads.get((node.namespace or "", *node.workload))
            if workload is not None:
                total = sum(restarts[uid] for uid in owners.get(workload.uid, ()))
                found[node.id] = Facts(began.get(workload.uid), total, dict(workload.labels))
    return found


def _owners(inventory: Inventory) -> dict[str, list[str]]:
    """Uids that pods of a workload may name as their owner: its own, and those of its revisions."""
    found: dict[str, list[str]] = {workload.uid: [workload.uid] for workload in inventory.workloads}
    for revision in inventory.revisions:
        found.setdefault(revision.owner_uid, [revision.owner_uid]).append(revision.uid)
    return found


def _notes(tree: Tree) -> tuple[str, ...]:
    blind = dict.fromkeys(term.field.name for term in terms(tree) if not term.field.known)
    return tuple(f"nobody tells {name} here, so it matches nothing" for name in blind)


# Trees -------------------------------------------------------------------------------------------


def _add(tree: Tree, world: _World, nodes: Bools, edges: Bools) -> None:
    """Add what one branch of ORs selects to the masks."""
    if isinstance(tree, Or):  # in parentheses, still a choice
        for part in tree.parts:
            _add(part, world, nodes, edges)
    elif any(term.on_edges for term in terms(tree)):
        edges |= _truth(tree, world, on_edges=True).yes
    else:
        nodes |= _truth(tree, world, on_edges=False).yes


@dataclass(frozen=True, slots=True)
class _Truth:
    """Where something holds and where its opposite does; neither = it cannot be said."""

    yes: Bools
    no: Bools


def _truth(tree: Tree, world: _World, *, on_edges: bool) -> _Truth:
    match tree:
        case Not(part):
            inner = _truth(part, world, on_edges=on_edges)
            return _Truth(inner.no, inner.yes)
        case And(parts):
            found = [_truth(part, world, on_edges=on_edges) for part in parts]
            return _Truth(np.all([t.yes for t in found], axis=0), np.any([t.no for t in found], axis=0))
        case Or(parts):
            found = [_truth(part, world, on_edges=on_edges) for part in parts]
            return _Truth(np.any([t.yes for t in found], axis=0), np.all([t.no for t in found], axis=0))
        case Term():
            return world.of_edges(tree) if on_edges else world.held(tree, of_nodes=True)


class _World:
    """The columns of one topology, made when asked for."""

    def __init__(self, topology: Topology, facts: Mapping[str, Facts]) -> None:
        self._topology = topology
        self._facts = facts
        self._ends: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None
        self._columns: dict[tuple[str, bool], _Texts] = {}

    def of_edges(self, term: Term) -> _Truth:
        """A term as connections see it: their own value, or that of the end it names, or of either end."""
        own = term.field.of is not Of.NODE and term.scope in (Scope.HERE, Scope.EDGE)
        if own:
            return self.held(term, of_nodes=False)
        at_nodes = self.held(term, of_nodes=True)
        yes, no = np.append(at_nodes.yes, False), np.append(at_nodes.no, False)  # an end that is not seen
        source, target = self.ends()
        if term.scope is Scope.FROM:
            return _Truth(yes[source], no[source])
        if term.scope is Scope.TO:
            return _Truth(yes[target], no[target])
        return _Truth(yes[source] | yes[target], no[source] & no[target])

    def held(self, term: Term, *, of_nodes: bool) -> _Truth:
        """A term row by row."""
        rows: Sequence[Node] | Sequence[Edge] = self._topology.nodes if of_nodes else self._topology.edges
        if term.field.type is Type.FLAG:
            return self._flag(term.field, rows)
        if term.field.type is Type.NUMBER:
            yes = _compared(term, self._numbers(term.field, rows))
        else:
            yes = _matched(term, self._text(term.field, rows, of_nodes=of_nodes))
        return _Truth(yes, ~yes)

    def _text(self, field: Field, rows: Sequence[Any], *, of_nodes: bool) -> _Texts:
        key = (field.name, of_nodes)
        if key not in self._columns:
            self._columns[key] = _Texts.of([_texts(field, row, self._facts) for row in rows])
        return self._columns[key]

    def ends(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows of the nodes at both ends of every edge; one past the last for an end that is not seen."""
        if self._ends is None:
            nodes, edges = self._topology.nodes, self._topology.edges
            index, nobody = {node.id: i for i, node in enumerate(nodes)}, len(nodes)
            source = np.array([index.get(edge.source, nobody) for edge in edges], np.intp)
            self._ends = source, np.array([index.get(edge.target, nobody) for edge in edges], np.intp)
        return self._ends

    def _flag(self, field: Field, rows: Sequence[Node] | Sequence[Edge]) -> _Truth:
        nothing = np.zeros(len(rows), bool)
        if not field.known:
            return _Truth(nothing, nothing)
        if field.name == "healthy":
            states = [row.health.status for row in rows]
            good = np.array([state is HealthStatus.HEALTHY for state in states], bool)
            return _Truth(good, np.array([state in _BAD for state in states], bool))
        if field.name == "entry":
            yes = self._entries()
        elif field.name in ("idle", "unknown"):
            yes = np.array([row.health.status == field.name for row in rows], bool)
        else:
            yes = np.array([_EDGE_FLAGS[field.name](row) for row in rows], bool)
        return _Truth(yes, ~yes)

    def _entries(self) -> Bools:
        """Services that clients from outside call, and those that call others while nobody calls them."""
        nodes, (source, target) = self._topology.nodes, self.ends()
        count = len(nodes) + 1
        client = np.array([*(node.kind is NodeKind.CLIENT for node in nodes), False], bool)
        service = np.array([node.kind is NodeKind.SERVICE for node in nodes], bool)
        outside = np.bincount(target[client[source]], minlength=count)[:-1] > 0
        called = np.bincount(target, minlength=count)[:-1] > 0
        calls = np.bincount(source, minlength=count)[:-1] > 0
        return np.asarray(service & (outside | (calls & ~called)))

    def _numbers(self, field: Field, rows: Sequence[Node] | Sequence[Edge]) -> Floats:
        if not field.known:
            return np.full(len(rows), np.nan)
        if field.name == "rank":
            return self._ranks()
        if field.name in ("in", "out"):
            return self._flow(field)
        own = field.name == "share"
        values = self._shares() if own else np.array([self._number(field.name, row) for row in rows], float)
        return self._of_protocol(values, field.protocol) if field.protocol else values

    def _number(self, name: str, row: Any) -> float | None:
        now = self._topology.as_of
        match name:
            case "rate":
                return row.rps  # type: ignore[no-any-return]
            case "err":
                return row.error_ratio  # type: ignore[no-any-return]
            case "p50" | "p95" | "p99":
                return getattr(row.latency, name)  # type: ignore[no-any-return]
            case "ready":
                return row.replicas.ready  # type: ignore[no-any-return]
            case "age":
                return (now - row.as_of).total_seconds() if row.as_of else None
            case "restarts":
                return self._facts.get(row.id, Facts()).restarts
            case _:
                began = self._facts.get(row.id, Facts()).changed
                return (now - began).total_seconds() if began else None

    def _of_protocol(self, values: Floats, protocol: str) -> Floats:
        mine = np.array([edge.protocol == protocol for edge in self._topology.edges], bool)
        return np.where(mine, values, np.nan)

    def _rates(self) -> Floats:
        return np.array([edge.rps for edge in self._topology.edges], float)

    def _ranks(self) -> Floats:
        """1 for the nodes with most connections, 2 for the next fewer, and so on."""
        source, target = self.ends()
        degree = np.bincount(np.concatenate([source, target]), minlength=len(self._topology.nodes) + 1)[:-1]
        _, place = np.unique(-degree, return_inverse=True)
        return place.astype(float) + 1

    def _shares(self) -> Floats:
        """Each connection's part of all that its caller sends."""
        source, rates = self.ends()[0], self._rates()
        sums = np.bincount(source, np.nan_to_num(rates), minlength=len(self._topology.nodes) + 1)[source]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(sums > 0, rates / sums, np.nan)

    def _flow(self, field: Field) -> Floats:
        """Requests per second of one protocol into or out of every node; unknown where there are none."""
        rates = self._of_protocol(self._rates(), field.protocol)
        told, rows = ~np.isnan(rates), self.ends()[field.name == "in"]
        count = len(self._topology.nodes) + 1
        sums = np.bincount(rows[told], rates[told], minlength=count)[:-1]
        return np.where(np.bincount(rows[told], minlength=count)[:-1] > 0, sums, np.nan)


_EDGE_FLAGS: dict[str, Callable[[Any], bool]] = {
    "external": lambda node: node.kind is NodeKind.EXTERNAL,
    "async": lambda edge: edge.kind is EdgeKind.ASYNC,
    "traffic": lambda edge: bool(edge.rps),
}


# Rows --------------------------------------------------------------------------------------------


def _compared(term: Term, column: Floats) -> Bools:
    """A comparison of numbers; NaN satisfies none of them."""
    known = ~np.isnan(column)
    if term.op in (Op.IN, Op.NOT_IN):
        inside = np.isin(column, [value for value in term.values if isinstance(value, float)])
        return np.asarray(known & (inside if term.op is Op.IN else ~inside))
    (value,) = term.values
    if value is None:
        return np.asarray(~known if term.op is Op.EQ else known)
    return np.asarray(known & _NUMBERS[term.op](column, value))


def _matched(term: Term, column: _Texts) -> Bools:
    """A comparison of texts; a row that holds several satisfies it with any, a negated one with none of them."""
    if term.op is Op.SET:
        return column.known
    if term.values == (None,):
        return ~column.known if term.op is Op.EQ else column.known
    op = _OPPOSITES.get(term.op, term.op)
    hits = np.zeros(len(column.known), bool)
    for value in term.values:
        test = _TEXTS[Op.EQ if op is Op.IN else op]
        found = np.array([test(text, value) for text in column.texts], bool)
        if column.rows is None:
            hits |= found
        else:
            hits[column.rows[found]] = True
    return np.asarray(column.known & (hits if op is term.op else ~hits))


@dataclass(frozen=True, slots=True)
class _Texts:
    """A text column: casefolded texts, the row of each (None = one per row), and which rows hold any."""

    texts: list[str]
    known: Bools
    rows: NDArray[np.intp] | None = None

    @classmethod
    def of(cls, found: list[tuple[str, ...]]) -> _Texts:
        """From what each row holds."""
        known = np.array([bool(texts) for texts in found], bool)
        texts = [text.casefold() for held in found for text in held]
        if len(texts) == len(found) and known.all():
            return cls(texts, known)
        rows = [row for row, held in enumerate(found) for _ in held]
        return cls(texts, known, np.array(rows, np.intp))


def _texts(field: Field, row: Any, facts: Mapping[str, Facts]) -> tuple[str, ...]:
    """What a row holds in a text field; nothing = not known."""
    if not field.known:
        return ()
    match field.name:
        case "name" | "kind" | "protocol" | "cluster":
            return (str(getattr(row, field.name)),)
        case "status":
            return (row.health.status.value,)
        case "source":
            return tuple(word.source.value for word in row.evidence)
        case "version":
            return tuple(row.versions)
        case "workload":
            return (row.workload[1],) if row.workload else ()
        case "ns" | "team" | "owner":
            value = row.namespace if field.name == "ns" else row.owner
            return (value,) if value else ()
        case _:
            labels = facts.get(row.id, Facts()).labels or {}
            value = labels.get("tier" if field.name == "tier" else field.name.removeprefix("label:"))
            return (value,) if value is not None else ()


# Parts of a topology -----------------------------------------------------------------------------


def without(topology: Topology, hidden: Selection, spared: str | None = None) -> Topology:
    """The topology minus a selection: hidden nodes take their edges along, and a node whose edges all went goes too.

    `spared` is the id of a node that stays in any case.
    """
    gone = {
        node.id for node, out in zip(topology.nodes, hidden.nodes, strict=True) if out and node.id != spared
    }
    cut = [edge for edge, out in zip(topology.edges, hidden.edges, strict=True) if out]
    edges = tuple(edge for edge, out in zip(topology.edges, hidden.edges, strict=True) if not out)
    edges = tuple(edge for edge in edges if edge.source not in gone and edge.target not in gone)
    linked = {end for edge in edges for end in (edge.source, edge.target)}
    gone |= {end for edge in cut for end in (edge.source, edge.target)} - linked - {spared}
    return replace(topology, nodes=tuple(node for node in topology.nodes if node.id not in gone), edges=edges)


def found_ids(topology: Topology, found: Selection) -> tuple[set[str], set[str]]:
    """Ids of the nodes found, the ends of found edges among them, and of the edges found."""
    nodes = {node.id for node, hit in zip(topology.nodes, found.nodes, strict=True) if hit}
    edges = [edge for edge, hit in zip(topology.edges, found.edges, strict=True) if hit]
    nodes |= {end for edge in edges for end in (edge.source, edge.target)}
    return nodes, {edge.id for edge in edges}
