"""The topology document: assembled, written down, and served from bytes; against dicts, the json module and no cache.

Five edges per service, two witnesses (metrics, sampled traces). Environment: SIZE, ROUNDS.
"""

from __future__ import annotations

import json
import random
import tempfile
from datetime import timedelta
from pathlib import Path

import orjson

from app.model.fleet import EvidenceKind, Snapshot
from app.store import live
from app.understand.document import columnar, document
from app.understand.identity import Resolver
from app.understand.topology import assemble
from bench.harness import compare, growth, load, provenance, sizes
from bench.naive import topology as naive
from tests.support.fleets import NOON, edge_row, fresh, node_row, service, snapshot, witness
from tests.support.web import make_site

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
        served(size, topology, memory)
    if len(costs) > 1:
        print(f"assemble: {growth(costs)}")
    print(load())


def served(size: str, topology, memory: bytes) -> None:
    """GET /api/v1/topology over WSGI: from cached bytes, against writing the document down for each request."""
    with tempfile.TemporaryDirectory() as place:
        site = make_site(Path(place), blueprints=None)
        with site.store.begin() as session:
            live.put(session, topology, memory)
        client, headers = site.app.test_client(), site.token("read") | {"Accept-Encoding": "identity"}

        def plain() -> int:
            with site.app.test_request_context():
                return len(site.app.json.response(document(topology, {})).get_data())

        def cached() -> int:
            answer = client.get("/api/v1/topology?format=columnar", headers=headers)
            assert answer.status_code == 200, answer.get_data(as_text=True)[:300]
            return len(answer.get_data())

        cached()
        print(compare(f"GET topology {size}: jsonify, cached bytes", plain, cached, repeat=20))
        site.store.dispose()


if __name__ == "__main__":
    main()
