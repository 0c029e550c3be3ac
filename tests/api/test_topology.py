"""The topology document: forms, parts, tags, deltas."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
import zstandard
from msgspec import structs

from app.model.fleet import HealthStatus
from app.store import positions
from tests.support.small_fleet import (
    DATABASE,
    EDGES,
    GATEWAY,
    ORDER,
    PAYMENT,
    make_node,
    make_topology,
    now_second,
    put_topology,
)

ADDRESS = "/api/v1/topology"


def node_ids(answer):
    return [node["id"] for node in answer.json["nodes"]]


def test_the_document_names_nodes_edges_and_sources(bob):
    answer = bob.get(ADDRESS).json
    assert [node["id"] for node in answer["nodes"]] == [ORDER, GATEWAY, PAYMENT, DATABASE]
    assert {edge["id"] for edge in answer["edges"]} == set(EDGES)
    assert answer["window_seconds"] == 60
    assert len(answer["freshness"]) == 2


def test_columns_say_the_same_as_rows(bob):
    rows, columns = bob.get(ADDRESS).json, bob.get(f"{ADDRESS}?format=columnar").json
    assert columns["nodes"]["id"] == [node["id"] for node in rows["nodes"]]
    assert columns["edges"]["rps"] == [edge["rps"] for edge in rows["edges"]]
    assert [columns["nodes"]["id"][i] for i in columns["edges"]["source"]] == [
        edge["source"] for edge in rows["edges"]
    ]


@pytest.mark.parametrize("form", ["rows", "columnar"])
def test_every_encoding_holds_the_same_document_under_its_own_tag(bob, form):
    bodies, tags = [], set()
    for name, decode in (("identity", bytes), ("gzip", gzip.decompress), ("zstd", zstandard.decompress)):
        answer = bob.get(f"{ADDRESS}?format={form}", headers={"Accept-Encoding": name})
        bodies.append(decode(answer.data))
        tags.add(answer.headers["ETag"])
        again = bob.get(
            f"{ADDRESS}?format={form}",
            headers={"Accept-Encoding": name, "If-None-Match": answer.headers["ETag"]},
        )
        assert again.status_code == 304
    assert bodies[0] == bodies[1] == bodies[2]
    assert len(tags) == 3
    assert orjson.loads(bodies[0])["version"]


def test_a_new_tick_is_a_new_document(site, bob):
    first = bob.get(ADDRESS)
    put_topology(site.store, make_topology(nodes=(make_node(ORDER, status=HealthStatus.FAILING),), edges=()))
    site.time.tick(1)
    second = bob.get(ADDRESS, headers={"If-None-Match": first.headers["ETag"]})
    assert second.status_code == 200
    assert node_ids(second) == [ORDER]


def test_one_tick_is_read_and_built_once_for_all_viewers(site):
    built = []
    document = site.parts.documents._document
    site.parts.documents._document = lambda *args: built.append(1) or document(*args)
    for name in ("bob", "alice", "ada"):
        assert site.client(name).get(ADDRESS).status_code == 200
    assert len(built) == 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("namespace=shop", {ORDER, GATEWAY, PAYMENT, DATABASE}),
        ("namespace=other", set()),
        ("hide=pay", {ORDER, GATEWAY, DATABASE}),
    ],
)
def test_filters_leave_a_consistent_part(bob, query, expected):
    answer = bob.get(f"{ADDRESS}?{query}")
    assert set(node_ids(answer)) == expected
    for edge in answer.json["edges"]:
        assert {edge["source"], edge["target"]} <= expected


@pytest.mark.parametrize(
    ("depth", "expected"), [(1, {GATEWAY, ORDER}), (2, {GATEWAY, ORDER, PAYMENT, DATABASE})]
)
def test_focus_keeps_what_is_within_so_many_hops(bob, depth, expected):
    answer = bob.get(ADDRESS, query_string={"focus": GATEWAY, "depth": depth})
    assert set(node_ids(answer)) == expected


@pytest.mark.parametrize("view", ["full", "map"])
def test_a_focus_that_is_not_seen_is_404_and_not_repeated(bob, view):
    answer = bob.get(ADDRESS, query_string={"focus": "demo:shop:<script>", "view": view})
    assert answer.status_code == 404
    assert b"script" not in answer.data


def test_the_map_has_places_and_keeps_them(site, bob):
    first = bob.get(f"{ADDRESS}?view=map&format=columnar").json
    places = dict(
        zip(first["nodes"]["id"], zip(first["nodes"]["x"], first["nodes"]["y"], strict=True), strict=True)
    )
    assert len(set(places.values())) == 4
    newcomer = make_node("demo:shop:newcomer")
    put_topology(site.store, replace(make_topology(), nodes=(*make_topology().nodes, newcomer)))
    site.time.tick(1)
    second = bob.get(f"{ADDRESS}?view=map&format=columnar").json
    moved = dict(
        zip(second["nodes"]["id"], zip(second["nodes"]["x"], second["nodes"]["y"], strict=True), strict=True)
    )
    assert "demo:shop:newcomer" in moved
    assert {name: moved[name] for name in places} == places


def test_the_full_document_tells_places_once_they_are_known(site, bob):
    with site.store.begin() as session:
        positions.place(session, "demo", {ORDER: (120.0, 80.0)})
    nodes = {node["id"]: node for node in bob.get(ADDRESS).json["nodes"]}
    assert (nodes[ORDER]["x"], nodes[ORDER]["y"]) == (120.0, 80.0)
    assert nodes[PAYMENT]["x"] is None


def test_the_past_comes_from_history(bob):
    then = now_second() - timedelta(minutes=30)
    answer = bob.get(ADDRESS, query_string={"at": then.isoformat()})
    assert answer.json["as_of"] <= then.isoformat()
    assert set(node_ids(answer)) == {ORDER, GATEWAY, PAYMENT, DATABASE}
    assert {node["rps"] for node in answer.json["nodes"]} == {10.0}


def test_a_longer_window_is_the_sum_of_its_minutes(bob):
    answer = bob.get(f"{ADDRESS}?window=10m").json
    assert answer["window_seconds"] == 600
    assert {node["requests"] for node in answer["nodes"]} == {6000.0}


def test_before_all_history_the_fleet_is_empty_and_not_an_error(bob):
    answer = bob.get(f"{ADDRESS}?at=2020-01-01T00:00:00Z")
    assert (answer.status_code, answer.json["nodes"]) == (200, [])


class TestSince:
    """Deltas."""

    def change(self, site):
        worse = make_node(PAYMENT, status=HealthStatus.FAILING)
        kept = [node for node in make_topology().nodes if node.id not in (PAYMENT, DATABASE)]
        edges = tuple(edge for edge in make_topology().edges if edge.target != DATABASE)
        put_topology(site.store, make_topology(nodes=(worse, *kept), edges=edges))
        site.time.tick(1)

    def test_only_what_changed_is_sent_with_the_ids_that_went(self, site, bob):
        # The clock stands still inside, so that unchanged nodes really are unchanged.
        from app import clock

        with clock.frozen_at(now_second()):
            put_topology(site.store)
            site.time.tick(1)
            before = bob.get(ADDRESS).json
            self.change(site)
            delta = bob.get(ADDRESS, query_string={"since": before["version"]}).json
        assert delta["since"] == before["version"]
        assert [node["id"] for node in delta["nodes"]] == [PAYMENT]
        assert delta["edges"] == []
        assert delta["gone"] == {"nodes": [DATABASE], "edges": [EDGES[1]]}

    def test_before_and_delta_together_make_the_present(self, site, bob):
        before = bob.get(ADDRESS).json
        self.change(site)
        delta = bob.get(ADDRESS, query_string={"since": before["version"]}).json
        full = bob.get(ADDRESS).json
        for part in ("nodes", "edges"):
            merged = {row["id"]: row for row in before[part] + delta[part]}
            for gone in delta["gone"][part]:
                del merged[gone]
            assert merged == {row["id"]: row for row in full[part]}

    @pytest.mark.parametrize("since", ["t0.0", "nonsense", "t999999"])
    def test_an_unknown_version_gets_everything(self, bob, since):
        answer = bob.get(ADDRESS, query_string={"since": since}).json
        assert "gone" not in answer
        assert len(answer["nodes"]) == 4


class TestExpressions:
    """find and hide, and what else narrows."""

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"find": "order or kind = database"}, {ORDER, DATABASE}),
            ({"find": "protocol = grpc"}, {ORDER, PAYMENT}),
            ({"find": "ns = shop", "hide": "pay"}, {ORDER, GATEWAY}),
            ({"hide": "!healthy"}, {GATEWAY, PAYMENT, DATABASE}),
            ({"errors": "true"}, {ORDER}),
            ({"mode": "problems"}, {ORDER, GATEWAY, PAYMENT, DATABASE}),
            ({"focus": ORDER, "dir": "down"}, {ORDER, PAYMENT, DATABASE}),
            ({"focus": PAYMENT, "dir": "up", "depth": "100"}, {GATEWAY, ORDER, PAYMENT}),
            ({"focus": GATEWAY, "target": DATABASE}, {GATEWAY, ORDER, DATABASE}),
        ],
    )
    def test_the_document_holds_only_what_is_asked_for(self, bob, query, expected):
        answer = bob.get(ADDRESS, query_string=query).json
        assert {node["id"] for node in answer["nodes"]} == expected
        for edge in answer["edges"]:
            assert {edge["source"], edge["target"]} <= expected

    @pytest.mark.parametrize("view", ["full", "map"])
    @pytest.mark.parametrize("name", ["find", "hide"])
    def test_a_fault_is_a_problem_with_the_column(self, bob, name, view):
        answer = bob.get(ADDRESS, query_string={name: "a p95 > fast", "view": view})
        assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
        assert answer.json["detail"] == f"{name}: col 9: expected a number with unit ms or s"
        assert answer.json["parameter"] == name

    def test_a_map_marks_what_is_found_and_keeps_the_rest(self, bob):
        query = {"view": "map", "format": "columnar", "find": "name = order or protocol = grpc"}
        answer = bob.get(ADDRESS, query_string=query).json
        found = dict(zip(answer["nodes"]["id"], answer["nodes"]["found"], strict=True))
        assert found == {ORDER: True, PAYMENT: True, GATEWAY: False, DATABASE: False}
        assert sum(answer["edges"]["found"]) == 1
        assert (answer["view"]["nodes_found"], answer["view"]["edges_found"]) == (1, 1)

    def test_what_nothing_is_known_of_is_said(self, bob):
        answer = bob.get(ADDRESS, query_string={"view": "map", "find": "firing"}).json
        assert answer["cut"]["why"] == "nobody tells firing here, so it matches nothing"

    @pytest.mark.parametrize("form", ["dot", "csv", "json"])
    def test_an_export_is_the_same_part_as_a_file(self, bob, form):
        answer = bob.get(f"{ADDRESS}/export", query_string={"format": form, "find": "order"})
        assert answer.headers["Content-Disposition"].endswith(f'"topology.{form}"')
        assert ORDER.encode() in answer.data
        assert PAYMENT.encode() not in answer.data
        again = bob.get(
            f"{ADDRESS}/export",
            query_string={"format": form, "find": "order"},
            headers={"If-None-Match": answer.headers["ETag"]},
        )
        assert again.status_code == 304

    def test_a_picture_of_problems_keeps_its_places_while_they_come_and_go(self, site, bob):
        def places():
            nodes = bob.get(ADDRESS, query_string={"view": "map", "mode": "problems"}).json["nodes"]
            return dict(zip(nodes["id"], zip(nodes["x"], nodes["y"], strict=True), strict=True))

        first = places()
        calm = tuple(
            structs.replace(node, health=make_node(GATEWAY).health) for node in make_topology().nodes
        )
        for fleet in (make_topology(nodes=calm), make_topology()):
            put_topology(site.store, fleet)
            site.time.tick(1)
            places()
        assert places() == first
