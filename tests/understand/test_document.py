from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest

from app.model.fleet import EvidenceKind
from app.understand.document import columnar, document, instant
from app.understand.identity import Resolver
from app.understand.topology import build
from tests.support.fleets import NOON, database, down, edge_row, node_row, service, snapshot, witness

ORDER, DB = service("order"), database("postgresql", "orders-db:5432")


def fleet(name: str = "order"):
    rows = [node_row(service(name), 600, 6, 0.1)]
    seen = snapshot(
        witness(EvidenceKind.SERVER_METRICS, rows, [edge_row(service(name), DB, 60, protocol="db")])
    )
    return build("demo", [seen], [down()], Resolver("demo", (), None), None, {}, NOON).topology


PLACES = {"demo:shop:order": (120.0, 80.0, True)}


def test_the_document_has_the_published_shape():
    found = orjson.loads(
        orjson.dumps(document(fleet(), PLACES, version="t1", now=NOON + timedelta(seconds=4)))
    )
    assert (found["as_of"], found["version"], found["window_seconds"]) == ("2026-11-23T12:00:00Z", "t1", 60)
    order = next(n for n in found["nodes"] if n["name"] == "order")
    published = {
        "id": "demo:shop:order",
        "kind": "service",
        "cluster": "demo",
        "namespace": "shop",
        "rps": 10,
        "error_ratio": 0.01,
        "replicas": {"desired": None, "ready": None},
        "x": 120.0,
        "y": 80.0,
    }
    assert published.items() <= order.items()
    assert order["health"]["status"] == "healthy"
    assert order["latency_seconds"].keys() == {"p50", "p95", "p99", "below"}
    (edge,) = found["edges"]
    assert (edge["target"], edge["protocol"]) == ("demo:~database:postgresql@orders-db:5432", "postgresql")
    assert edge["latency_seconds"] == {"p50": None, "p95": None, "p99": None, "below": None}
    assert edge["evidence"] == [
        {
            "source": "server-metrics",
            "as_of": "2026-11-23T12:00:00Z",
            "rps": 1,
            "sampling_ratio": 1.0,
            "notes": [],
        }
    ]
    (source,) = found["freshness"]
    assert (source["source"], source["age_seconds"], source["status"]) == ("demo/prometheus", 4, "down")


def test_unplaced_nodes_have_null_places():
    found = document(fleet(), {})
    assert {(n["x"], n["y"]) for n in found["nodes"]} == {(None, None)}


def test_columns_say_the_same_as_rows():
    topology = fleet()
    rows, columns = document(topology, PLACES), columnar(topology, PLACES)
    for name in ("id", "name", "kind", "rps", "error_ratio", "x", "y"):
        assert columns["nodes"][name] == [row[name] for row in rows["nodes"]]
    ids = columns["nodes"]["id"]
    assert [ids[i] for i in columns["edges"]["target"]] == [row["target"] for row in rows["edges"]]
    assert columns["edges"]["p95_seconds"] == [row["latency_seconds"]["p95"] for row in rows["edges"]]


@pytest.mark.parametrize("name", ["<script>", "\ud800bad", "a" * 100_000, "\x00\x1b[31m"])
def test_hostile_names_make_valid_json_of_bounded_size(name):
    body = orjson.dumps(document(fleet(name), {}))
    assert len(body) < 20_000
    assert orjson.loads(body)["nodes"]


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (None, None),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC), "2026-01-02T03:04:05.600Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1))), "2026-01-02T02:04:05Z"),
    ],
)
def test_instants_are_rfc_3339_in_utc(moment, text):
    assert instant(moment) == text
