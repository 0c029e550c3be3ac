"""Layouts: networkx in this process against the fenced child, its CPU counted too.

Tiered random digraphs with back edges, self-calls and duplicates, as a fleet has them. Environment: ROUNDS.
"""

from __future__ import annotations

import random
from contextlib import closing
from functools import partial

from app.layouts import LayoutProcess
from app.understand import layout
from bench.harness import compare, load, provenance, tree_cpu
from bench.naive import layout as naive

SEED = 7
FLEETS = ((100, 200), (300, 1_000), (1_000, 5_000))


def fleet(count: int, wanted: int) -> list[tuple[int, int]]:
    rng = random.Random(SEED)
    edges = []
    for _ in range(wanted):
        a, b = sorted(rng.sample(range(count), 2))
        edges.append((b, a) if rng.random() < 0.04 else (a, b))
    return edges + [(n, n) for n in range(0, count, 10)] + edges[:10]


def everybody(one, other) -> bool:
    return len(one) == len(other)


def main() -> None:
    print(provenance(SEED, "tiered fleets, 4 % back edges"))
    with closing(LayoutProcess(deadline=60)) as process:
        process.places(2, [(0, 1)])
        assert process._child is not None
        child = process._child.pid
        for count, wanted in FLEETS:
            edges = fleet(count, wanted)
            cleaned = layout.clean(count, edges)
            print(
                compare(
                    f"springs {count}/{wanted}: networkx, rustworkx",
                    partial(naive.springs, count, edges),
                    partial(layout.springs, count, cleaned),
                    same=everybody,
                )
            )
            if count <= layout.LAYERED_UP_TO:
                layered(process, child, count, edges)
    print(load())


def layered(process: LayoutProcess, child: int, count: int, edges: list[tuple[int, int]]) -> None:
    """The drawing that is really used, in the child, against what a refresh costs when little has changed."""

    def anew():
        return process.places(count, layout.clean(count, edges))[0]

    places = {f"n{n}": place for n, place in enumerate(anew()) if n != 1}
    calls = [(f"n{a}", f"n{b}") for a, b in edges]
    print(
        compare(
            f"one newcomer among {count}: layers anew, beside",
            anew,
            partial(layout.beside, places, ["n1"], calls),
            server_cpu=partial(tree_cpu, child),
        )
    )


if __name__ == "__main__":
    main()
