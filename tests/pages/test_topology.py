from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec import structs

from app import clock, layouts
from app.model.fleet import Evidence, EvidenceKind, HealthStatus, Latency, service_id
from app.pages import panel, topology
from app.store import positions
from tests.pages.conftest import reader_of
from tests.support.acting_site import seed_checkout
from tests.support.shown import make_edge, make_fleet, renamed, seed, show

EDGE = "demo:shop:gateway>demo:shop:order"
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</script><b>",
    "\u202egnol\x07",
    "😀" * 4_000,
]


def source_of(page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.one("div", data_map="").attributes["data-src"]).query)


def test_the_first_line_names_the_origin_and_what_only_suffers(empty_site):
    fleet = make_fleet(clock.now(), gateway=HealthStatus.FAILING)
    show(empty_site.store, fleet)
    page = reader_of(empty_site)("/topology")
    assert (
        page.text("h1")
        == "Origin is probably order; 1 upstream service affected; 13 % of entry requests cross it."
    )
    assert "order: errors 12 %, usually 0.1 % (1 upstream)" in page.text("section", id="f-topology-answer")


def test_without_connections_the_page_says_what_would_show_them(empty_site):
    show(empty_site.store, replace(make_fleet(clock.now()), edges=()))
    page = reader_of(empty_site)("/topology")
    assert page.text("h1").startswith("No connections seen: no traces, mesh or service-graph metrics.")
    assert "What each source gives" in page.text("section", id="f-topology-answer")


def test_connections_that_are_older_than_the_rest_are_counted(empty_site):
    fleet = make_fleet(clock.now())
    old = structs.replace(fleet.edges[0], as_of=fleet.as_of - timedelta(minutes=3))
    show(empty_site.store, replace(fleet, edges=(old, *fleet.edges[1:])))
    assert "1 connection may be older than the rest" in reader_of(empty_site)("/topology").text(
        "section", id="f-topology-answer"
    )


def test_the_table_holds_the_same_as_the_document(get, site):
    page = get("/topology?view=table")
    document = site.client("bob").get("/api/v1/topology").json
    edges = [one for one in page.all("tr") if one.attributes.get("id", "").startswith("edge-")]
    nodes = [one for one in page.all("tr") if one.attributes.get("id", "").startswith("node-")]
    assert (len(edges), len(nodes)) == (len(document["edges"]), len(document["nodes"]))
    assert nodes[0].attributes["data-word"] == "failing"


@pytest.mark.parametrize(
    ("sort", "first"), [("name", "cart"), ("rate", "gateway"), ("errors", "order"), ("p95", "payment")]
)
def test_the_table_is_ordered_as_asked(get, sort, first):
    page = get(f"/topology?view=table&sort={sort}")
    assert page.all("tr", data_panel="")[:0] == []
    nodes = [one for one in page.all("tr") if one.attributes.get("id", "").startswith("node-")]
    assert nodes[0].attributes["data-name"] == first


def test_focus_and_find_narrow_the_table(get):
    page = get("/topology?view=table&focus=demo:shop:order")
    names = {one.attributes["data-name"] for one in page.all("tr") if "data-name" in one.attributes}
    assert names == {"order", "gateway", "postgresql@orders-db:5432"}
    page = get("/topology?view=table&q=PAY")
    assert [one.attributes["data-name"] for one in page.all("tr") if "data-name" in one.attributes] == [
        "payment"
    ]


@pytest.mark.parametrize("query", ["view=pie", "hops=9", "group=colour", "sort=size", "page=-1", "at=soon"])
def test_a_bad_value_is_refused(get, query):
    get(f"/topology?{query}", status=400)


def test_a_focus_that_is_not_seen_is_said(get):
    get("/topology?focus=nothing", status=404)


def test_the_map_is_asked_for_what_the_page_is_about(get):
    page = get(
        "/topology?focus=demo:shop:order&hops=2&group=namespace&q=pay&hide=cart&folded=a,b&opened=shop&ns=shop"
    )
    assert source_of(page) == {
        "view": ["map"],
        "format": ["columnar"],
        "find": ["pay"],
        "group": ["namespace"],
        "hide": ["cart"],
        "folded": ["a,b"],
        "opened": ["shop"],
        "focus": ["demo:shop:order"],
        "depth": ["2"],
        "namespace": ["shop"],
    }


def test_groups_fold_and_unfold_by_name(site):
    def kinds(query: str) -> list[str]:
        answer = site.client("bob").get(f"/api/v1/topology?view=map&format=columnar&{query}")
        return [kind for kind in answer.json["nodes"]["kind"] if kind in ("group", "service")]

    assert kinds("").count("service") == 11
    assert sorted(kinds("folded=shop")) == ["group", "service"]  # what fails stays visible on its own
    assert kinds("group=namespace&opened=shop").count("service") == 11


def test_tidy_up_lays_the_view_out_anew_for_everybody(site, get):
    client = site.client("alice")
    client.get("/api/v1/topology?view=map")
    name = layouts.view_name("demo")
    with site.store.begin() as session:
        positions.place(session, name, {service_id("demo", "shop", "order"): (9999.0, 9999.0)})
    answer = client.post("/topology/tidy", data={"back": "find=pay&evil=1&view=graph"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/topology?view=graph&find=pay")
    with site.store.reading() as session:
        assert positions.positions(session, name)[service_id("demo", "shop", "order")][0] != 9999.0


def test_tidying_the_view_of_a_focus_leaves_the_others_alone(site):
    client = site.client("alice")
    client.get("/api/v1/topology?view=map")
    with site.store.reading() as session:
        before = positions.positions(session, "demo")
    client.post("/topology/tidy", data={"back": "focus=demo:shop:order"})
    with site.store.reading() as session:
        assert positions.positions(session, "demo") == before
        assert positions.positions(session, layouts.view_name("demo", focus="demo:shop:order"))


def test_a_viewer_cannot_tidy_up_and_sees_why(site, get):
    assert site.client("bob").post("/topology/tidy", data={"back": ""}).status_code == 403
    buttons = [one.text for one in get("/topology").all("button", aria_disabled="true")]
    assert "Tidy up: places are shared by everybody; a responder can change them" in buttons


@pytest.mark.parametrize("back", ["hops=9", "group=x"])
def test_tidying_a_view_that_does_not_exist_is_refused(site, back):
    assert site.client("alice").post("/topology/tidy", data={"back": back}).status_code == 400


def test_the_panel_of_a_node_has_its_numbers_its_connections_and_who_says_so(get_empty, empty_site):
    seed_checkout(empty_site.store)
    fleet = make_fleet(clock.now(), checkout=HealthStatus.HEALTHY)
    seen = (Evidence(EvidenceKind.TRACES, fleet.as_of, 4.0, 0.1),)
    edges = (
        structs.replace(fleet.edges[0], evidence=seen, as_of=fleet.as_of - timedelta(minutes=5)),
        fleet.edges[1],
    )
    show(empty_site.store, replace(fleet, edges=edges))
    page = get_empty("/fragments/topology-panel?id=demo:shop:order")
    said = page.text("section")
    assert page.text("h2") == "order"
    assert "traces (10 % sampled)" in said
    assert "rate out 40 rps" in said
    assert "Paths by topology, not by trace." in said
    assert page.all("span", class_="stale-value")
    assert get_empty("/fragments/topology-panel?id=demo:shop:checkout", as_="alice").one("a", data_page="")
    assert get_empty("/fragments/topology-panel?id=demo:shop:checkout").one("button", aria_disabled="true")


def test_the_panel_of_a_connection_tells_both_sides_apart(empty_site):
    fleet = make_fleet(clock.now())
    edge = structs.replace(fleet.edges[0], server_latency=Latency(p95=0.05), caller_error_ratio=0.2)
    show(empty_site.store, replace(fleet, edges=(edge,)))
    page = reader_of(empty_site)(f"/fragments/topology-panel?edge={edge.id}")
    said = page.text("section")
    assert page.text("h2") == "gateway → order"
    assert "network and queue 150 ms" in said
    assert "errors its caller sees 20 %" in said


@pytest.mark.parametrize("query", ["id=nothing", "edge=nothing", ""])
def test_the_panel_of_what_is_gone_is_not_found(site, query):
    assert site.client("bob").get(f"/fragments/topology-panel?{query}").status_code == 404


@pytest.mark.parametrize(
    ("caller", "callee", "expected"),
    [(0.2, 0.05, 0.15), (0.1, 0.2, 0.0), (None, 0.1, None), (0.1, None, None)],
)
def test_network_and_queue_is_the_difference_of_both_sides(caller, callee, expected):
    edge = structs.replace(
        make_edge("a", "b", "http", clock.now(), HealthStatus.HEALTHY),
        latency=Latency(p95=caller),
        server_latency=Latency(p95=callee),
    )
    found = panel.network_and_queue(edge)
    assert found == (None if expected is None else pytest.approx(expected))


def test_hostile_names_stay_text_in_page_table_panel_and_document(empty_site):
    fleet = renamed(make_fleet(clock.now()), HOSTILE)
    ids = [node.id for node in fleet.nodes]
    edges = tuple(
        make_edge(ids[0], ids[place], HOSTILE[place], clock.now(), HealthStatus.FAILING)
        for place in (1, 2, 3, 4)
    )
    show(empty_site.store, replace(fleet, edges=edges))
    client = empty_site.client("bob")
    for path in ("/topology?view=table", f"/topology?focus={ids[0]}"):
        page = reader_of(empty_site)(path)
        assert not page.all("img")
        assert not page.all("b")
        assert max(len(one.text) for one in page.all("a")) <= 121
    body = client.get("/fragments/topology-panel", query_string={"id": ids[0]}).get_data(as_text=True)
    assert "<img" not in body
    answer = client.get("/api/v1/topology?view=map&format=columnar")
    assert answer.mimetype == "application/json"
    assert HOSTILE[0] in json.loads(answer.data)["nodes"]["name"]


def test_a_fragment_has_the_same_bytes_until_the_fleet_changes(site):
    client = site.client("bob")
    first = client.get("/fragments/topology-table?view=table")
    assert client.get("/fragments/topology-table?view=table").data == first.data
    seed(site.store)
    site.parts.reader.forget()
    again = client.get(
        "/fragments/topology-table?view=table", headers={"If-None-Match": first.headers["ETag"]}
    )
    assert again.status_code == 200


def test_every_bad_connection_without_an_unhealthy_service_is_told():
    at = clock.now()
    fleet = make_fleet(at, order=HealthStatus.HEALTHY, payment=HealthStatus.HEALTHY)
    assert topology.answer(fleet) == "1 connection worse than usual; every service is healthy."


# Expressions, faults, presets, exports -------------------------------------------------------------


def named(page) -> set[str]:
    return {one.attributes["data-name"] for one in page.all("tr") if "data-name" in one.attributes}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("find=!healthy", {"order", "payment"}),
        ("find=kind+%3D+database", {"postgresql@orders-db:5432"}),
        ("hide=ns+%3D+shop", {"postgresql@orders-db:5432"} - {"postgresql@orders-db:5432"}),
        ("errors=1", {"order", "payment", "gateway", "postgresql@orders-db:5432"}),
        ("mode=problems&find=name+%3D+order", {"order"}),
    ],
)
def test_the_table_takes_the_filters_of_the_map(get, site, query, expected):
    page = get(f"/topology?view=table&{query}")
    drawn = site.client("bob").get(f"/api/v1/topology?{query.replace('errors=1', 'errors=true')}").json
    if "find" in query:
        assert named(page) == expected
    assert named(page) >= {node["name"] for node in drawn["nodes"]} - {"kafka"} or "hide" in query


def test_an_expression_that_cannot_be_read_is_told_beside_its_field_and_kept_there(get):
    page = get("/topology?find=p95+%3E+fast&view=table", status=400)
    field = page.one("input", name="find", type="search")
    assert field.attributes["value"] == "p95 > fast"
    assert field.attributes["aria-invalid"] == "true"
    assert "find col 7: expected a number with unit ms or s. Not applied." in page.text(
        "div", id="filter-said"
    )
    assert "find" not in source_of(page)
    assert len(named(page)) > 5  # the rest of the page is there


def test_a_bad_choice_is_corrected_and_told(get):
    page = get("/topology?hops=9&group=colour&find=order", status=400)
    said = page.text("div", id="filter-said")
    assert "hops is one of 1, 2, 3, all" in said
    assert "group is one of none, namespace, team, cluster" in said
    assert "group" not in source_of(page)
    assert source_of(page)["find"] == ["order"]


def test_a_part_fetched_alone_tells_the_fault_too(site):
    body = site.client("bob").get("/fragments/topology-filter?find=(a").get_data(as_text=True)
    assert "col 3: expected ) at the end" in body


def test_how_much_is_found_and_what_nothing_is_known_of_is_said(get):
    said = get("/topology?find=order+or+firing").text("div", id="filter-said")
    assert "found." in said
    assert "Nobody tells firing here, so it matches nothing." in said


def test_a_focus_is_named_as_people_name_it(get):
    for text in ("order", "ORDER", "shop/order", "demo:shop:order"):
        page = get(f"/topology?focus={text}&hops=all&dir=down&target=payment")
        assert source_of(page)["focus"] == ["demo:shop:order"]
        assert source_of(page)["target"] == ["demo:shop:payment"]
        assert (source_of(page)["depth"], source_of(page)["dir"]) == (["100"], ["down"])
        assert page.one("input", name="focus", type="text").attributes["value"] == "order"


def test_a_name_that_several_have_asks_which(empty_site):
    fleet = make_fleet(clock.now())
    twin = structs.replace(fleet.nodes[0], id="demo:other:order", name="order", namespace="other")
    first = next(node for node in fleet.nodes if node.name == "order")
    show(empty_site.store, replace(fleet, nodes=(first, twin), edges=()))
    page = reader_of(empty_site)("/topology?focus=order", status=404)
    assert "several have this name: other/order, shop/order" in page.text("div", id="filter-said")


def test_modes_and_presets_are_links_that_keep_the_rest(get):
    page = get("/topology?hide=cart")
    links = {
        one.text: one.attributes["href"]
        for one in page.all("a")
        if "hide=cart" in one.attributes.get("href", "")
    }
    assert "mode=problems" in links["Problems first"]
    assert "errors=1" in links["Errors only"]
    assert "find=changed+%3C+1h" in links["Changed in the last hour"]
    on = get("/topology?errors=1")
    assert [one.text for one in on.all("a", aria_current="true") if one.text == "Errors only"]


def test_sources_that_disagree_are_told_in_the_table(empty_site):
    fleet = make_fleet(clock.now())
    seen = (
        Evidence(EvidenceKind.MESH, fleet.as_of, 200.0, 1.0),
        Evidence(EvidenceKind.TRACES, fleet.as_of, 4.0, 0.1),
    )
    show(empty_site.store, replace(fleet, edges=(structs.replace(fleet.edges[0], evidence=seen),)))
    assert "they disagree: istio 200 rps, traces 4" in reader_of(empty_site)("/topology?view=table").text(
        "section", id="f-topology-table"
    )


@pytest.mark.parametrize(
    ("form", "kind", "start"),
    [
        ("dot", "text/vnd.graphviz", b"digraph"),
        ("csv", "text/csv", b"element,"),
        ("json", "application/json", b"{"),
    ],
)
def test_what_the_page_is_about_can_be_taken_along(site, form, kind, start):
    answer = site.client("bob").get(f"/topology/export?format={form}&find=order&view=graph&sel=x")
    assert answer.mimetype == kind
    assert answer.headers["Content-Disposition"] == f'attachment; filename="topology.{form}"'
    assert answer.data.startswith(start)
    assert b"order" in answer.data
    assert b"recommend" not in answer.data


@pytest.mark.parametrize(
    "query", ["", "format=xls", "format=csv&find=(", "format=csv&hops=9", "format=dot&focus=no"]
)
def test_an_export_of_nonsense_is_refused(site, query):
    assert site.client("bob").get(f"/topology/export?{query}").status_code == 400
