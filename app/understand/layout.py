"""Where nodes stand: cleaning of the edge list, layers, packing, and places for newcomers. Pure.

`compute` calls fast-sugiyama, which aborts the process on a self-loop, may never return on a cycle and holds
the GIL meanwhile; it runs only in the child of `layout_child`, on a list that `clean` has made.
Drawings run left to right: callers left of callees.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import cos, pi, sin

Place = tuple[float, float]
Pair = tuple[int, int]

RANK_GAP = 220.0  # px between a caller and its callee
ROW_GAP = 72.0  # px between neighbours of one rank
CLEARANCE = 56.0  # px that a newcomer keeps from everybody
COMPONENT_GAP = 96.0
LAYERED_UP_TO = 400  # visible nodes; beyond, springs
SCREEN = 1.8  # width of a drawing by its height that is aimed at
_LIBRARY_RANK = 72.0  # distance of two ranks in fast-sugiyama's coordinates


def clean(count: int, edges: Iterable[Pair]) -> list[Pair]:
    """An acyclic, sorted list without self-loops and duplicates, over nodes 0..count-1.

    Back edges are reversed after the greedy heuristic of Eades, Lin and Smyth (1993), which keeps them few.
    """
    real = sorted({(a, b) for a, b in edges if a != b and 0 <= a < count and 0 <= b < count})
    place = {node: i for i, node in enumerate(_greedy_order(count, real))}
    return sorted({(a, b) if place[a] < place[b] else (b, a) for a, b in real})


def _greedy_order(count: int, edges: Sequence[Pair]) -> list[int]:
    """Nodes in an order that most edges follow: sinks last, sources first, else the largest out - in."""
    callees, callers = _adjacency(count, edges)
    out_degree = [len(found) for found in callees]
    in_degree = [len(found) for found in callers]
    heap = [_urgency(node, out_degree, in_degree) for node in range(count)]
    heapq.heapify(heap)
    placed = [False] * count
    first: list[int] = []
    last: list[int] = []
    while heap:
        entry = heapq.heappop(heap)
        node = entry[2]
        if placed[node] or entry != _urgency(node, out_degree, in_degree):
            continue
        placed[node] = True
        (last if out_degree[node] == 0 and in_degree[node] else first).append(node)
        for callee in callees[node]:
            in_degree[callee] -= 1
            if not placed[callee]:
                heapq.heappush(heap, _urgency(callee, out_degree, in_degree))
        for caller in callers[node]:
            out_degree[caller] -= 1
            if not placed[caller]:
                heapq.heappush(heap, _urgency(caller, out_degree, in_degree))
    return first + last[::-1]


def _urgency(node: int, out_degree: list[int], in_degree: list[int]) -> tuple[int, int, int]:
    if out_degree[node] == 0:
        return 0, 0, node
    if in_degree[node] == 0:
        return 1, 0, node
    return 2, in_degree[node] - out_degree[node], node


def _adjacency(count: int, edges: Iterable[Pair]) -> tuple[list[list[int]], list[list[int]]]:
    callees: list[list[int]] = [[] for _ in range(count)]
    callers: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        callees[source].append(target)
        callers[target].append(source)
    return callees, callers


def compute(count: int, edges: Sequence[Pair], *, transpose: bool = True, ranks: bool = True) -> list[Place]:
    """Places of nodes 0..count-1 for a cleaned edge list: layers up to LAYERED_UP_TO nodes, springs beyond.

    Not `ranks`: everybody calls everybody, as groups do; springs tell more than layers then.
    """
    if count > LAYERED_UP_TO or not ranks:
        return springs(count, edges)
    return assemble(count, [_wide(part) for part in _layers(edges, transpose=transpose)] if edges else [])


def _wide(part: Mapping[int, Place]) -> dict[int, Place]:
    """A tall drawing with each rank spread over several columns, so that it is about as wide as a screen."""
    width, height = _size(part)
    columns = round((SCREEN * height / (width + RANK_GAP)) ** 0.5)
    if columns < 2:
        return dict(part)
    spread: dict[int, Place] = {}
    ranks: dict[float, list[int]] = defaultdict(list)
    for node, (x, _) in part.items():
        ranks[x].append(node)
    for x, nodes in ranks.items():
        nodes.sort(key=lambda node: (part[node][1], node))
        for i, node in enumerate(nodes):
            spread[node] = (x * columns + i % columns * RANK_GAP, part[node][1] / columns)
    return spread


def _layers(edges: Sequence[Pair], *, transpose: bool) -> list[dict[int, Place]]:
    from fast_sugiyama import from_edges

    found = from_edges(edges, vertex_spacing=ROW_GAP, dummy_vertices=False, transpose=transpose)
    parts: list[dict[int, Place]] = []
    for positions, *_ in found:
        deepest = max(y for _, (_, y) in positions)
        parts.append({int(n): ((deepest - y) / _LIBRARY_RANK * RANK_GAP, x) for n, (x, y) in positions})
    return parts


def springs(count: int, edges: Sequence[Pair]) -> list[Place]:
    """A force-directed drawing, as wide as its number of nodes asks for; up to LAYERED_UP_TO nothing overlaps."""
    import rustworkx

    graph = rustworkx.PyGraph()
    graph.add_nodes_from(list(range(count)))
    graph.add_edges_from_no_data(list(edges))
    found = rustworkx.spring_layout(graph, num_iter=50, seed=1)
    side = (count**0.5) * RANK_GAP / 2
    wide = SCREEN**0.5
    places = [((found[n][0] + 1) * side * wide, (found[n][1] + 1) * side / wide) for n in range(count)]
    if count <= LAYERED_UP_TO:
        clear: list[Place] = []
        for place in places:
            clear.append(_clear(place, clear))
        places = clear
    return [(round(x, 1), round(y, 1)) for x, y in places]


def by_longest_path(count: int, edges: Sequence[Pair]) -> list[Place]:
    """A plain layered drawing of a cleaned list: rank = longest way from a source, order by mean of the callers."""
    ranks = ranks_of(count, edges)
    callees, callers = _adjacency(count, edges)
    linked = [n for n in range(count) if callees[n] or callers[n]]
    rows: dict[int, float] = {}
    columns: dict[int, list[int]] = defaultdict(list)
    for node in linked:
        columns[ranks[node]].append(node)
    for rank in sorted(columns):
        wanted = {
            n: _mean([rows[c] for c in callers[n] if c in rows], float(i))
            for i, n in enumerate(columns[rank])
        }
        for row, node in enumerate(sorted(columns[rank], key=lambda n: (wanted[n], n))):
            rows[node] = float(row)
    whole = {n: (ranks[n] * RANK_GAP, rows[n] * ROW_GAP) for n in linked}
    return assemble(count, [whole] if whole else [])


def ranks_of(count: int, edges: Sequence[Pair]) -> list[int]:
    """Longest-path rank of each node of an acyclic list."""
    callees, callers = _adjacency(count, edges)
    waiting = [len(found) for found in callers]
    ready = [node for node in range(count) if not waiting[node]]
    ranks = [0] * count
    for node in ready:
        for callee in callees[node]:
            ranks[callee] = max(ranks[callee], ranks[node] + 1)
            waiting[callee] -= 1
            if not waiting[callee]:
                ready.append(callee)
    return ranks


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def assemble(count: int, parts: Sequence[Mapping[int, Place]]) -> list[Place]:
    """Components packed in shelves, the largest first; nodes that are in none stand in rows below."""
    places: list[Place] = [(0.0, 0.0)] * count
    boxes = [(part, *_size(part)) for part in parts]
    boxes.sort(key=lambda box: (-len(box[0]), min(box[0])))
    area = sum((width + COMPONENT_GAP) * (height + COMPONENT_GAP) for _, width, height in boxes)
    limit = max([(1.6 * area) ** 0.5, *(width for _, width, _ in boxes)], default=0.0)
    x = y = shelf = 0.0
    for part, width, height in boxes:
        if x and x + width > limit:
            x, y, shelf = 0.0, y + shelf + COMPONENT_GAP, 0.0
        left, top = min(p[0] for p in part.values()), min(p[1] for p in part.values())
        for node, (px, py) in part.items():
            places[node] = (round(px - left + x, 1), round(py - top + y, 1))
        x, shelf = x + width + RANK_GAP, max(shelf, height)
    placed = {node for part in parts for node in part}
    alone = [node for node in range(count) if node not in placed]
    below = y + shelf + COMPONENT_GAP if boxes else 0.0
    columns = max(int(limit // RANK_GAP) + 1, min(8, len(alone)), 1)
    for i, node in enumerate(alone):
        places[node] = ((i % columns) * RANK_GAP, round(below + (i // columns) * ROW_GAP, 1))
    return places


def _size(part: Mapping[int, Place]) -> Place:
    xs, ys = [p[0] for p in part.values()], [p[1] for p in part.values()]
    return max(xs) - min(xs), max(ys) - min(ys)


def dense(ids: Sequence[str], edges: Iterable[tuple[str, str]]) -> tuple[list[str], list[Pair]]:
    """Ids in sorted order, and the edges between them as indexes into that order, cleaned."""
    order = sorted(set(ids))
    index = {key: i for i, key in enumerate(order)}
    pairs = [(index[a], index[b]) for a, b in edges if a in index and b in index]
    return order, clean(len(order), pairs)


def beside(
    known: Mapping[str, Place], new: Sequence[str], edges: Iterable[tuple[str, str]]
) -> dict[str, Place]:
    """Places for newcomers among nodes that stay: right of the callers, else left of the callees, else below."""
    callers: dict[str, list[str]] = defaultdict(list)
    callees: dict[str, list[str]] = defaultdict(list)
    for source, target in edges:
        if source != target:
            callers[target].append(source)
            callees[source].append(target)
    taken = dict(known)
    waiting = sorted(set(new) - taken.keys())
    while waiting:
        linked = [n for n in waiting if any(m in taken for m in (*callers[n], *callees[n]))]
        for node in linked or waiting:
            taken[node] = _free(_wish(taken, callers[node], callees[node]), taken.values())
        waiting = [n for n in waiting if n not in taken]
    return {node: place for node, place in taken.items() if node not in known}


def among(
    known: Mapping[str, Place], new: Sequence[str], edges: Iterable[tuple[str, str]]
) -> dict[str, Place]:
    """Places for newcomers of a view without ranks, among nodes that stay: amid their neighbours, else below."""
    linked: dict[str, list[str]] = defaultdict(list)
    for source, target in edges:
        linked[source].append(target)
        linked[target].append(source)
    taken = dict(known)
    for node in sorted(set(new) - taken.keys()):
        near = [taken[other] for other in linked[node] if other in taken]
        below = max((y for _, y in taken.values()), default=-ROW_GAP) + ROW_GAP
        wish = _mean([x for x, _ in near], 0.0), _mean([y for _, y in near], below)
        taken[node] = _clear(wish, taken.values())
    return {node: place for node, place in taken.items() if node not in known}


def _clear(wish: Place, taken: Iterable[Place]) -> Place:
    """The place nearest to the wish, around it in ever wider ellipses, where nothing else stands."""
    others = list(taken)
    for ring in range(2 * len(others) + 2):
        for turn in range(max(1, 8 * ring)):
            angle = 2 * pi * turn / max(1, 8 * ring)
            x = max(0.0, wish[0] + ring * RANK_GAP / 2 * cos(angle))
            y = max(0.0, wish[1] + ring * ROW_GAP / 2 * sin(angle))
            if all(abs(x - a) >= RANK_GAP or abs(y - b) >= ROW_GAP for a, b in others):
                return round(x, 1), round(y, 1)
    return round(wish[0], 1), round(max(y for _, y in others) + ROW_GAP, 1)


def _wish(taken: Mapping[str, Place], callers: Sequence[str], callees: Sequence[str]) -> Place:
    before = [taken[c] for c in callers if c in taken]
    if before:
        return max(x for x, _ in before) + RANK_GAP, _mean([y for _, y in before], 0.0)
    after = [taken[c] for c in callees if c in taken]
    if after:
        return max(0.0, min(x for x, _ in after) - RANK_GAP), _mean([y for _, y in after], 0.0)
    return 0.0, max((y for _, y in taken.values()), default=-ROW_GAP) + ROW_GAP


def _free(wish: Place, taken: Iterable[Place]) -> Place:
    """The slot nearest to the wish, up or down, that is CLEARANCE away from everybody (and not above 0)."""
    x, y = wish
    rows = [other for column, other in taken if abs(column - x) < CLEARANCE]
    for step in range(len(rows) * 4 + 2):
        for candidate in (y + step * CLEARANCE / 2, y - step * CLEARANCE / 2):
            if candidate >= 0 and all(abs(candidate - other) >= CLEARANCE for other in rows):
                return round(x, 1), round(candidate, 1)
    return round(x, 1), round(max([y, *rows]) + CLEARANCE, 1)
