"""The part of a topology that somebody asks for, uncut: namespaces, find and hide, focus, trees, paths, trouble.

The map folds and caps this further (`view`); the table, the exports and the full document show it whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from app.errors import BadInput, NotFound
from app.model.fleet import Edge, HealthStatus, Node, NodeKind, Topology
from app.understand import selection
from app.understand.expression import ExpressionError
from app.understand.selection import NO_FACTS, Facts, Selection

MAX_NODES = 300
MAX_EDGES = 1000
FURTHEST = 100  # hops that mean "as far as it goes"
HOPS_OF_TROUBLE = 2
MOST_OF_TROUBLE = 200  # nodes that problems-first draws, groups included, as long as fewer hops get there
DIRECTIONS = ("any", "up", "down", "both")
MODES = ("auto", "problems", "all")
GROUPS = ("none", "namespace", "team", "cluster")
TROUBLE = frozenset({HealthStatus.FAILING, HealthStatus.DEGRADED})


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """What a viewer asks for.

    direction: `any` = whoever calls whom, `up` = callers, `down` = callees, `both` = the two trees. target: the
    other end of the paths from the focus. mode: `problems` = what has trouble and its surroundings, `all`, `auto` =
    problems when all does not fit. errors: nothing but trouble. group: `none` folds namespaces only as far as
    the caps ask for it, the others fold all of them. find, hide: expressions. folded, opened: groups to fold,
    and never to fold.
    """

    namespaces: frozenset[str] = frozenset()
    focus: str | None = None
    depth: int = 1
    direction: str = "any"
    target: str | None = None
    mode: str = "all"
    errors: bool = False
    group: str = "none"
    find: str = ""
    hide: str = ""
    selected: str | None = None
    folded: frozenset[str] = frozenset()
    opened: frozenset[str] = frozenset()
    max_nodes: int = MAX_NODES
    max_edges: int = MAX_EDGES


@dataclass(frozen=True, slots=True)
class Found:
    """What `find` selected: its own nodes, those and the ends of its edges, its edges."""

    own: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()
    edges: frozenset[str] = frozenset()

    def has(self, edge: Edge) -> bool:
        """Whether an edge was selected, or leads from one selected node to another."""
        return edge.id in self.edges or (edge.source in self.own and edge.target in self.own)


@dataclass(frozen=True, slots=True)
class Part:
    """A consistent part of a topology. found: None = nothing is looked for. hops: from the focus."""

    topology: Topology
    found: Found | None = None
    hops: Mapping[str, int] | None = None
    notes: tuple[str, ...] = ()


def narrow(topology: Topology, asked: ViewOptions, facts: Mapping[str, Facts] = NO_FACTS) -> Part:
    """Everything that is asked for. Raises NotFound for an unknown focus or target, BadInput for an expression."""
    found, told = _found(topology, asked.find, facts)
    hidden = _selected("hide", asked.hide, topology, facts)
    seen = topology if hidden is None else selection.without(topology, hidden, asked.focus)
    notes = told + (hidden.notes if hidden else ())
    kept = _of_namespaces(seen, asked.namespaces)
    hops: Mapping[str, int] | None = None
    if asked.focus is not None:
        _known(topology, asked.focus)
        _known(topology, asked.target)
        # hops run through other namespaces too
        hops = reached(asked, seen.edges if asked.namespaces else kept.edges)
        kept = only(kept, hops.keys(), also=asked.focus, of=seen)
        if asked.target is not None and asked.target not in hops:
            notes += ("no path leads from one to the other",)
    if asked.errors:
        kept = troubled(kept, asked.focus)
    return Part(kept, found, hops, tuple(dict.fromkeys(notes)))


def listed(part: Part, asked: ViewOptions, *, touching: bool = False) -> Topology:
    """What lists and exports show: with `mode=problems` only trouble and its surroundings, then `matching`."""
    if asked.mode == "problems":
        ids = trouble(part.topology, len(part.topology.nodes)).ids
        part = replace(part, topology=only(part.topology, ids, of=part.topology))
    return matching(part, touching=touching)


def matching(part: Part, *, touching: bool = False) -> Topology:
    """What `find` selected of a part, for lists: nodes and the ends of edges; edges, and those between such nodes.

    `touching`: also the calls to and from nodes that are not selected (their other end is then not among the nodes).
    """
    found = part.found
    if found is None:
        return part.topology
    own = found.own if touching else frozenset()
    return replace(
        part.topology,
        nodes=tuple(node for node in part.topology.nodes if node.id in found.nodes),
        edges=tuple(
            edge
            for edge in part.topology.edges
            if found.has(edge) or edge.source in own or edge.target in own
        ),
    )


def _selected(name: str, text: str, topology: Topology, facts: Mapping[str, Facts]) -> Selection | None:
    try:
        return selection.select(text, topology, facts)
    except ExpressionError as error:
        raise BadInput(f"{name}: {error}", field=name) from error


def _found(topology: Topology, text: str, facts: Mapping[str, Facts]) -> tuple[Found | None, tuple[str, ...]]:
    chosen = _selected("find", text, topology, facts)
    if chosen is None:
        return None, ()
    nodes, edges = selection.found_ids(topology, chosen)
    own = frozenset(node.id for node, hit in zip(topology.nodes, chosen.nodes, strict=True) if hit)
    return Found(own, frozenset(nodes), frozenset(edges)), chosen.notes


def _known(topology: Topology, key: str | None) -> None:
    if key is not None and all(node.id != key for node in topology.nodes):
        raise NotFound("The node in focus is not seen at that time.")


def only(topology: Topology, ids: Collection[str], *, also: str | None = None, of: Topology) -> Topology:
    """The nodes with these ids and the edges among them; `also` comes along from `of` although it was left out."""
    nodes = [node for node in topology.nodes if node.id in ids]
    if also is not None and all(node.id != also for node in nodes):
        nodes += [node for node in of.nodes if node.id == also]
    kept = {node.id for node in nodes}
    edges = tuple(edge for edge in of.edges if edge.source in kept and edge.target in kept)
    return replace(topology, nodes=tuple(nodes), edges=edges)


def _of_namespaces(topology: Topology, namespaces: Collection[str]) -> Topology:
    """The chosen namespaces with the stores and queues they talk to."""
    if not namespaces:
        return _sound(topology)
    chosen = {node.id for node in topology.nodes if (node.namespace or "") in namespaces}
    touched = {
        end
        for edge in topology.edges
        if edge.source in chosen or edge.target in chosen
        for end in (edge.source, edge.target)
    }
    kept = {node.id for node in topology.nodes if node.kind is not NodeKind.SERVICE} & touched | chosen
    return only(topology, kept, of=topology)


def _sound(topology: Topology) -> Topology:
    """The topology without edges whose ends are not seen."""
    ids = {node.id for node in topology.nodes}
    if all(edge.source in ids and edge.target in ids for edge in topology.edges):
        return topology
    return only(topology, ids, of=topology)


def troubled(topology: Topology, spared: str | None = None) -> Topology:
    """Nothing but failing and degraded nodes and connections, with their ends."""
    bad = {node.id for node in topology.nodes if node.health.status in TROUBLE}
    edges = [e for e in topology.edges if e.health.status in TROUBLE or (e.source in bad and e.target in bad)]
    bad |= {end for edge in edges for end in (edge.source, edge.target)} | {spared or ""}
    nodes = tuple(node for node in topology.nodes if node.id in bad)
    return replace(topology, nodes=nodes, edges=tuple(edges))


def neighbourhood(topology: Topology, focus: str, hops: int) -> Topology:
    """The part within `hops` of a node, uncut. Raises NotFound for an unknown node."""
    return narrow(topology, ViewOptions(focus=focus, depth=hops)).topology


# Distances ---------------------------------------------------------------------------------------


def reached(asked: ViewOptions, edges: Iterable[Edge]) -> dict[str, int]:
    """Hops from the focus to every node within the depth, along the direction; or to what lies on a path."""
    focus, edges = str(asked.focus), list(edges)
    if asked.target is not None:
        return _between(focus, asked.target, edges)
    depth = max(asked.depth, 0)
    if asked.direction == "any":
        return distances(focus, edges, most=depth)
    found: dict[str, int] = {}
    if asked.direction in ("down", "both"):
        found |= distances(focus, edges, up=False, most=depth)
    if asked.direction in ("up", "both"):
        found |= distances(focus, edges, down=False, most=depth)
    return found


def _between(focus: str, target: str, edges: list[Edge]) -> dict[str, int]:
    """Nodes on any way from the focus to the target, or back where there is none; the focus alone without a way."""
    for start, end in ((focus, target), (target, focus)):
        ahead = distances(start, edges, up=False)
        if end in ahead:
            behind = distances(end, edges, down=False)
            return {key: hop for key, hop in ahead.items() if key in behind}
    return {focus: 0}


def distances(
    start: str | Mapping[str, int],
    edges: Iterable[Edge],
    *,
    up: bool = True,
    down: bool = True,
    most: int = FURTHEST,
) -> dict[str, int]:
    """Hops from a node (or from several with a lead each): `up` against the calls, `down` along them."""
    near: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        if down:
            near[edge.source].append(edge.target)
        if up:
            near[edge.target].append(edge.source)
    hops = {start: 0} if isinstance(start, str) else dict(start)
    border = sorted(hops, key=lambda key: hops[key])
    for node in border:
        if hops[node] >= most:
            break
        for other in near[node]:
            if other not in hops:
                hops[other] = hops[node] + 1
                border.append(other)
    return hops


# Problems first ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trouble:
    """Nodes to show first: `ids` within `hops` of anything bad; `nodes`, `edges` = how many are bad themselves."""

    ids: frozenset[str]
    hops: int
    nodes: int
    edges: int


def mode_of(topology: Topology, asked: ViewOptions) -> str:
    """`problems` or `all`: what `auto` comes to for this part of a fleet."""
    if asked.mode != "auto":
        return asked.mode
    narrowed = asked.focus is not None or asked.errors or asked.group != "none"
    too_big = len(topology.nodes) > asked.max_nodes or len(topology.edges) > asked.max_edges
    return "problems" if too_big and not narrowed else "all"


def trouble(topology: Topology, most: int) -> Trouble:
    """What is bad and what is within two hops of it; fewer hops where that is more than `most` nodes.

    Both ends of a bad connection are one hop away from it.
    """
    bad = [node.id for node in topology.nodes if node.health.status in TROUBLE]
    lines = [edge for edge in topology.edges if edge.health.status in TROUBLE]
    ends = {end: 1 for edge in lines for end in (edge.source, edge.target)}
    away = distances(ends | dict.fromkeys(bad, 0), topology.edges, most=HOPS_OF_TROUBLE)
    hops = HOPS_OF_TROUBLE
    while hops > 1 and sum(hop <= hops for hop in away.values()) > most:
        hops -= 1
    known = {node.id for node in topology.nodes}
    ids = frozenset(key for key, hop in away.items() if hop <= hops and key in known)
    return Trouble(ids, hops, len(bad), len(lines))


def services_of(nodes: Iterable[Node]) -> int:
    """How many of them are services."""
    return sum(node.kind is NodeKind.SERVICE for node in nodes)
