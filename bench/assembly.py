"""A topology from snapshots: assembled and written down, against dicts and the json module (serving it: bench/api.py).

Five edges per service, two witnesses (metrics, sampled traces). Environment: SIZE, ROUNDS.
"""

from __future__ import annotations

import json
import random
from datetime import timedelta

import orjson

from app.model.fleet import EvidenceKind, Snapshot
from app.understand.document import columnar, document
from app.understand.identity import Resolver
from app.understand.topology import assemble
from bench.harness import compare, growth, load, provenance, sizes
from bench.naive import topology as naive
from tests.support.fleets import NOON, edge_row, fresh, node_row, service, snapshot, witness

SEED = 7
STATES = [fresh(), fresh("demo/traces")]


def fleet(count: int) -> list[Snapshot]:
    rng = random.Random(SEED)
    services = [service(f"service-{i:04d}", f"team-{i % 40:02d}") for i in range(count)]
    pairs = set()
    while len(pairs) < 5 * count:
        pairs.add(tuple(sorted(rng.sample(range(count), 2))))
    calls = [
        edge_row(services[a], services[b], rng.randint(30, 900), rng.randint(0, 3), 10 ** rng.uniform(-3, 0))
        for a, b in sorted(pairs)
    ]
    metrics = witness(EvidenceKind.CLIENT_METRICS, [node_row(s, 600, 1, 0.1) for s in services], calls)
    traced = witness(EvidenceKind.TRACES, edges=calls, sampling_ratio=0.1)
    return [snapshot(metrics), snapshot(traced, source="traces")]


def same_topology(plain: dict, chosen) -> bool:
    topology = chosen[0]
    if len(plain["edges"]) != len(topology.edges) or len(plain["nodes"]) != len(topology.nodes):
        return False
    return all(
        abs(plain["edges"][e.id]["rps"] - e.rps) < 1e-9
        and abs(plain["edges"][e.id]["p95"] - e.latency.p95) < 1e-5
        and abs(plain["edges"][e.id]["error_ratio"] - e.error_ratio) < 1e-9
        for e in topology.edges
    )


def main() -> None:
    print(provenance(SEED, "five edges per service, two witnesses"))
    costs = []
    for count in sizes():
        snapshots = fleet(count)

        def assembled(snapshots=snapshots):
            return assemble("demo", snapshots, STATES, Resolver("demo", (), None), None, {}, NOON)

        size = f"{count}/{5 * count}"
        built = compare(
            f"assemble with health {size} (plain: numbers only)",
            lambda snapshots=snapshots: naive.assemble("demo", snapshots),
            assembled,
            same=same_topology,
        )
        print(built)
        costs.append((count, built.chosen[1]))
        topology, memory = assembled()
        again = compare(
            f"assemble again with memory {size} (first time)",
            assembled,
            lambda snapshots=snapshots, memory=memory: assemble(
                "demo", snapshots, STATES, Resolver("demo", (), None), memory, {}, NOON + timedelta(seconds=5)
            ),
        )
        print(again)
        print(
            compare(
                f"write down {size}: json rows, orjson columns",
                lambda t=topology: json.dumps(document(t, {})).encode(),
                lambda t=topology: orjson.dumps(columnar(t, {})),
            )
        )
    if len(costs) > 1:
        print(f"assemble: {growth(costs)}")
    print(load())


if __name__ == "__main__":
    main()
