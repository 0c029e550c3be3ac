"""Clusters, services and nodes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app import clock
from app.errors import NotFound
from app.model.fleet import HealthStatus
from app.store import sources
from tests.support.small_fleet import (
    CLUSTER,
    DATABASE,
    GATEWAY,
    ORDER,
    PAYMENT,
    big_topology,
    make_node,
    make_topology,
    put_topology,
)


def ids(answer):
    return [row["id"] for row in answer.json["items"]]


def test_services_come_worst_first_and_inferred_nodes_are_none(bob):
    answer = bob.get("/api/v1/services")
    assert ids(answer) == [ORDER, GATEWAY, PAYMENT]
    first = answer.json["items"][0]
    assert first["health"]["status"] == "degraded"
    assert first["health"]["reasons"][0]["code"] == "error_ratio"
    assert first["replicas"] == {"desired": 3, "ready": 3}


def test_every_read_says_its_age_and_that_of_each_source(bob):
    answer = bob.get("/api/v1/services").json
    assert answer["as_of"]
    assert [row["source"] for row in answer["freshness"]] == ["demo/kubernetes", "demo/prometheus"]
    assert all(row["age_seconds"] is not None for row in answer["freshness"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("namespace=shop", [ORDER, GATEWAY, PAYMENT]),
        ("namespace=other", []),
        ("health=degraded", [ORDER]),
        ("q=PAY", [PAYMENT]),
        ("cluster=demo&q=order", [ORDER]),
        ("unknown=1&q=order", [ORDER]),
    ],
)
def test_filters_narrow_the_list(bob, query, expected):
    assert ids(bob.get(f"/api/v1/services?{query}")) == expected


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=%C2%B2", "limit"),
        ("health=fine", "health"),
        ("at=yesterday", "at"),
        ("at=99999999999999999999", "at"),
        ("cursor=%21%21", "cursor"),
        ("cursor=e30", "cursor"),
        ("q=%00", "q"),
        ("q=" + "x" * 2000, "q"),
    ],
)
def test_a_bad_value_is_400_and_names_its_parameter(bob, query, parameter):
    answer = bob.get(f"/api/v1/services?{query}")
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    assert answer.json["parameter"] == parameter


def test_an_unknown_cluster_is_404(bob):
    assert bob.get("/api/v1/services?cluster=nowhere").status_code == 404


def test_pages_link_to_the_next_and_together_hold_everything_once(site, bob):
    put_topology(site.store, big_topology(25, 30))
    site.time.tick(1)
    address, seen = "/api/v1/services?limit=10&q=service", []
    while address:
        answer = bob.get(address)
        seen += ids(answer)
        link = answer.headers.get("Link")
        assert (link is None) == (answer.json["next_cursor"] is None)
        address = link.partition(">")[0].removeprefix("<") if link else None
    assert len(seen) == len(set(seen)) == 25


def test_one_service_tells_its_callers_and_callees(bob):
    answer = bob.get(f"/api/v1/services/{ORDER}").json
    assert [(row["node"], row["name"]) for row in answer["callers"]] == [(GATEWAY, "gateway")]
    assert {row["node"] for row in answer["callees"]} == {DATABASE, PAYMENT}


def test_an_inferred_node_is_found_by_its_id(bob):
    answer = bob.get("/api/v1/nodes", query_string={"id": DATABASE}).json
    assert (answer["kind"], answer["namespace"]) == ("database", None)


def test_what_is_not_seen_is_404_without_saying_what_was_asked(bob):
    for address in ("/api/v1/services/demo:shop:%3Cscript%3E", "/api/v1/nodes?id=demo:%3Cscript%3E"):
        answer = bob.get(address)
        assert answer.status_code == 404
        assert b"script" not in answer.data


def test_unknown_numbers_are_null_and_never_zero(site, bob):
    blind = make_node(ORDER, status=HealthStatus.UNKNOWN, rps=1.0, requests=None, error_ratio=None)
    put_topology(site.store, make_topology(nodes=(blind,), edges=()))
    site.time.tick(1)
    row = bob.get("/api/v1/services").json["items"][0]
    assert (row["error_ratio"], row["requests"]) == (None, None)


def test_a_hostile_name_comes_out_as_it_is_and_inert(site, bob):
    name = '<img src=x onerror=alert(1)>"\u202e/../' + "x" * 3000
    put_topology(site.store, make_topology(nodes=(make_node(f"demo:shop:{name}"),), edges=()))
    site.time.tick(1)
    answer = bob.get("/api/v1/services")
    assert answer.json["items"][0]["name"] == name
    assert answer.mimetype == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_unchanged_services_are_not_sent_again(bob):
    first = bob.get("/api/v1/services")
    again = bob.get("/api/v1/services", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_clusters_that_were_never_heard_are_named_without_numbers(bob):
    rows = {row["name"]: row for row in bob.get("/api/v1/clusters").json["items"]}
    assert rows[CLUSTER]["services"] == 3
    assert rows[CLUSTER]["health"] == {"degraded": 1, "healthy": 2}
    assert (rows["silent"]["services"], rows["silent"]["as_of"]) == (None, None)


def test_an_empty_store_gives_an_empty_list(empty):
    answer = empty.client("bob").get("/api/v1/services")
    assert (answer.status_code, answer.json["items"]) == (200, [])


def test_without_credentials_nothing_is_told(site):
    for path in (
        "/api/v1/services",
        "/api/v1/clusters",
        "/api/v1/topology",
        "/api/v1/status",
        "/api/v1/audit",
    ):
        assert site.client().get(path).status_code == 401


def test_the_reader_knows_no_cluster_by_chance(site):
    with pytest.raises(NotFound):
        site.parts.reader.topology("nowhere")


def test_a_source_that_fell_silent_is_late_in_every_answer(site, bob):
    with site.store.begin() as session:
        sources.succeeded(session, "silent", "kubernetes", clock.now() - timedelta(seconds=95), "")
    site.time.tick(2)
    for path in ("services", "status", "topology"):
        rows = {row["source"]: row for row in bob.get(f"/api/v1/{path}").json["freshness"]}
        assert rows["silent/kubernetes"]["status"] == "late", path
    assert 'quarterdeck_source_up{source="silent/kubernetes"} 0' in bob.get("/metrics").text
