"""Where the time of a trace went: the chain of spans that its end waited for, and what each did by itself.

From the root's end backwards: the child that ended last before that moment was waited for, so it is on the path, and
so on inside it; when it began, the one before it. Children that nobody waited for are no part of it.
Source: CRISP (Zhang et al., USENIX ATC 2022), as in Jaeger's critical path.
"""

from __future__ import annotations

from app.understand.trace_tree import Tree

Stretch = tuple[int, int]  # (begin, end) in ns on the root's clock


def critical_path(tree: Tree) -> dict[int, list[Stretch]]:
    """Span number -> when the trace's end waited for it and not for one of its children; the last stretch first."""
    found: dict[int, list[Stretch]] = {}
    root = tree.main
    # (span, the moment until which it is followed, whether that is its own end, its children not looked at yet)
    todo = [(root, tree.end(root), True, _by_end(tree, root))]
    while todo:
        at, until, whole, left = todo.pop()
        mine = found.setdefault(at, [])
        child = _waited_for(tree, at, until, left, running=whole)
        if child is None:
            _add(mine, tree.start[at], until)
            continue
        end = min(tree.end(child), until)
        _add(mine, end, until)
        begin = min(max(tree.start[child], tree.start[at]), end)
        todo.append((at, begin, False, left))
        todo.append((child, end, True, _by_end(tree, child)))
    return found


def length(stretches: list[Stretch]) -> int:
    """Nanoseconds that all of them last together."""
    return sum(end - begin for begin, end in stretches)


def _add(stretches: list[Stretch], begin: int, end: int) -> None:
    if end > begin:
        stretches.append((begin, end))


def self_times(tree: Tree) -> list[int]:
    """For each span the nanoseconds in which none of the children that it waited for was running."""
    return [_alone(tree, at) for at in range(len(tree.spans))]


def _by_end(tree: Tree, at: int) -> list[int]:
    """Children that were waited for, the one that ended last at the end of the list."""
    calls = [child for child in tree.children[at] if tree.is_call(child)]
    return sorted(calls, key=lambda child: (tree.end(child), tree.start[child]))


def _waited_for(tree: Tree, at: int, until: int, left: list[int], *, running: bool) -> int | None:
    """Take the child that ended last before `until`; with `running` also one that was then still running.

    A child that ended later ran beside one that took longer, so nobody waited for it.
    """
    while left:
        child = left.pop()
        ran = tree.start[child] < until and tree.end(child) > tree.start[at]
        if ran and (running or tree.end(child) <= until):
            return child
    return None


def _alone(tree: Tree, at: int) -> int:
    begin, end = tree.start[at], tree.end(at)
    covered, reached = 0, begin
    for child in tree.children[at]:  # in the order of their starts
        if tree.is_call(child):
            first, last = max(tree.start[child], reached), min(tree.end(child), end)
            covered += max(last - first, 0)
            reached = max(reached, last)
    return end - begin - covered
