from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from msgspec import structs

from app.errors import BadInput, NotFound
from app.model.fleet import Edge, EdgeKind, Health, HealthStatus, Latency, Node, NodeKind, Topology
from app.understand.part import listed, narrow
from app.understand.view import ViewOptions, distances, href, map_view, neighbourhood, select
from tests.support.fleets import MINUTE, NOON

HEALTHY, DEGRADED, FAILING, UNKNOWN = (
    HealthStatus.HEALTHY,
    HealthStatus.DEGRADED,
    HealthStatus.FAILING,
    HealthStatus.UNKNOWN,
)


def node(name, namespace="a", status=HEALTHY, kind=NodeKind.SERVICE, **over) -> Node:
    key = f"demo:{namespace}:{name}" if kind is NodeKind.SERVICE else f"demo:~{kind}:{name}"
    home = namespace if kind is NodeKind.SERVICE else None
    return Node(key, name, kind, "demo", Health(status), namespace=home, rps=over.pop("rps", 1.0), **over)


def edge(source: Node, target: Node, status=HEALTHY, rps=1.0, **over) -> Edge:
    return Edge(
        f"{source.id}>{target.id}>http",
        source.id,
        target.id,
        EdgeKind.SYNC,
        "http",
        Health(status),
        rps=rps,
        error_ratio=over.pop("error_ratio", 0.0),
        **over,
    )


def topology(nodes, edges=()) -> Topology:
    return Topology("demo", NOON, MINUTE, tuple(nodes), tuple(edges))


def names(view):
    return {drawn.node.name for drawn in view.nodes}


def fleet(namespaces: dict[str, int], bad: dict[str, HealthStatus] | None = None) -> Topology:
    """Namespaces with so many services each; `bad` gives the state of some by name (`a0`)."""
    nodes = [
        node(f"{home}{i}", home, (bad or {}).get(f"{home}{i}", HEALTHY))
        for home, size in namespaces.items()
        for i in range(size)
    ]
    edges = [edge(one, other) for one, other in itertools.pairwise(nodes)]
    return topology(nodes, edges)


def test_a_small_fleet_is_drawn_whole():
    view = select(fleet({"a": 5, "b": 5}))
    assert (len(view.nodes), len(view.edges), view.why) == (10, 9, ())


def test_the_largest_namespaces_without_trouble_are_folded_first_until_it_fits():
    view = select(fleet({"a": 10, "b": 30, "c": 20}, {"b3": DEGRADED}), ViewOptions(max_nodes=45))
    groups = {d.node.name: d.members for d in view.nodes if d.shape == "group"}
    assert groups == {"c": 20}
    assert view.why == ("1 namespace without trouble is folded",)


def test_namespaces_with_trouble_are_folded_last_and_failing_nodes_never():
    view = select(
        fleet({"a": 10, "b": 30}, {"a3": DEGRADED, "b3": DEGRADED, "b4": FAILING}), ViewOptions(max_nodes=5)
    )
    groups = {d.node.name: (d.members, d.node.health.status) for d in view.nodes if d.shape == "group"}
    assert groups == {"a": (10, DEGRADED), "b": (29, DEGRADED)}
    assert "b4" in names(view)
    assert "2 namespaces with degraded members are folded" in view.why


def test_a_group_tells_its_members_and_how_many_are_unknown():
    view = select(fleet({"a": 10}, {"a1": UNKNOWN, "a2": UNKNOWN}), ViewOptions(group="namespace"))
    (group,) = view.nodes
    assert (group.members, group.unknown, group.node.health.status) == (10, 2, UNKNOWN)
    assert group.node.health.reasons[0].message == "2 unknown, 8 healthy"


def test_focused_selected_and_found_nodes_are_never_folded():
    options = ViewOptions(group="namespace", selected="demo:a:a1", find="A7")
    assert {"a1", "a7"} < names(select(fleet({"a": 10}), options))


def test_opened_namespaces_stay_open_and_folded_ones_folded():
    view = select(fleet({"a": 3, "b": 3}), ViewOptions(folded=frozenset({"a"})))
    assert names(view) == {"a", "b0", "b1", "b2"}
    assert len(select(fleet({"a": 3}), ViewOptions(group="namespace", opened=frozenset({"a"}))).nodes) == 3


def test_edges_of_a_group_are_one_and_those_inside_vanish():
    a0, a1, b0 = node("a0"), node("a1"), node("b0", "b")
    edges = [
        edge(a0, a1, rps=99),
        edge(a0, b0, rps=30, error_ratio=0.1, latency=Latency(p95=0.2)),
        edge(a1, b0, DEGRADED, rps=10, error_ratio=0.5, latency=Latency(p95=0.4)),
    ]
    view = select(topology([a0, a1, b0], edges), ViewOptions(folded=frozenset({"a"})))
    (joined,) = view.edges
    assert (joined.source, joined.target) == ("demo:~group:namespace/a", b0.id)
    assert (joined.rps, joined.error_ratio) == (40, pytest.approx(8 / 40))
    assert (joined.health.status, joined.latency.p95) == (DEGRADED, 0.4)


def test_a_store_of_one_namespace_folds_with_it_and_a_shared_one_does_not():
    a0, a1, b0 = node("a0"), node("a1"), node("b0", "b")
    own, shared = node("own", kind=NodeKind.DATABASE), node("shared", kind=NodeKind.CACHE)
    edges = [edge(a0, own), edge(a0, shared), edge(b0, shared)]
    view = select(topology([a0, a1, b0, own, shared], edges), ViewOptions(folded=frozenset({"a"})))
    assert names(view) == {"a", "b0", "shared"}


def test_grouping_by_team_uses_the_owner():
    nodes = [node("x", owner="pay"), node("y", "b", owner="pay"), node("z")]
    assert names(select(topology(nodes), ViewOptions(group="team"))) == {"pay", "(no name)"}


def test_unhealthy_edges_are_drawn_first_and_the_rest_is_told():
    nodes = [node(f"n{i}") for i in range(40)]
    edges = [edge(nodes[i], nodes[i + 1], rps=float(i)) for i in range(39)]
    edges[0] = edge(nodes[0], nodes[1], FAILING, rps=0.1)
    view = select(topology(nodes, edges), ViewOptions(max_edges=10))
    assert view.edges[0].health.status is FAILING
    assert {e.rps for e in view.edges[1:]} == {float(i) for i in range(30, 39)}
    assert view.why == ("29 healthy quiet connections not drawn",)


def test_more_failing_nodes_than_the_cap_are_for_the_table():
    nodes = [node(f"n{i}", status=FAILING) for i in range(20)]
    view = select(topology(nodes), ViewOptions(max_nodes=10))
    assert view.table_first
    assert len(view.nodes) == 20


def test_focus_shows_callers_and_callees_within_the_hops():
    chain = fleet({"a": 9})
    assert names(select(chain, ViewOptions(focus="demo:a:a4", depth=2))) == {"a2", "a3", "a4", "a5", "a6"}
    assert len(neighbourhood(chain, "demo:a:a4", 1).edges) == 2


def test_too_many_hops_become_fewer_and_are_told():
    view = select(fleet({"a": 9}), ViewOptions(focus="demo:a:a4", depth=3, max_nodes=5))
    assert (view.depth, len(view.nodes)) == (2, 5)
    assert view.why[0] == "3 hops are too many to draw: 2 shown"


def test_an_unknown_focus_is_not_found():
    with pytest.raises(NotFound):
        select(fleet({"a": 2}), ViewOptions(focus="demo:a:nobody"))
    with pytest.raises(NotFound):
        neighbourhood(fleet({"a": 2}), "demo:a:nobody", 1)


def test_a_namespace_filter_keeps_the_stores_it_talks_to_and_drops_the_others():
    a0, b0 = node("a0"), node("b0", "b")
    own, other = node("own", kind=NodeKind.DATABASE), node("other", kind=NodeKind.DATABASE)
    found = topology([a0, b0, own, other], [edge(a0, own), edge(b0, other), edge(a0, b0)])
    assert names(select(found, ViewOptions(namespaces=frozenset({"a"})))) == {"a0", "own"}


def test_hidden_names_go_and_the_focus_stays():
    chain = fleet({"a": 5})
    assert names(select(chain, ViewOptions(hide="A3"))) == {"a0", "a1", "a2", "a4"}
    assert "a3" in names(select(chain, ViewOptions(hide="a3", focus="demo:a:a3")))


def test_distances_run_along_edges_in_both_directions():
    chain = fleet({"a": 4})
    assert distances("demo:a:a1", chain.edges) == {
        "demo:a:a1": 0,
        "demo:a:a0": 1,
        "demo:a:a2": 1,
        "demo:a:a3": 2,
    }


def test_the_map_view_is_columns_of_equal_length_with_indexed_edges():
    chain = fleet({"a": 3})
    view = select(chain)
    found = map_view(
        chain, view, {key: (10.0 * i, 5.0, False) for i, key in enumerate(view.ids)}, version="t1"
    )
    assert {len(column) for column in found["nodes"].values()} == {3}
    assert {len(column) for column in found["edges"].values()} == {2}
    ids = found["nodes"]["id"]
    ends = zip(found["edges"]["source"], found["edges"]["target"], strict=True)
    assert {(ids[s], ids[t]) for s, t in ends} == {(e.source, e.target) for e in chain.edges}
    assert found["layout"]["width"] == 20.0
    assert found["cut"] == {
        "nodes_total": 3,
        "nodes_shown": 3,
        "edges_total": 2,
        "edges_shown": 2,
        "why": "",
        "table_first": False,
    }


def test_the_layout_hash_changes_only_with_places_and_nodes():
    chain = fleet({"a": 3})
    view = select(chain)
    places = {key: (1.0, float(i), False) for i, key in enumerate(view.ids)}
    one = map_view(chain, view, places, version="t1")["layout"]["hash"]
    assert map_view(chain, view, places, version="t2")["layout"]["hash"] == one
    places[view.ids[0]] = (2.0, 0.0, True)
    assert map_view(chain, view, places)["layout"]["hash"] != one


@pytest.mark.parametrize(
    ("one", "link"),
    [
        (node("checkout", "pay"), "/services/demo/pay/checkout"),
        (node("a/b?c#d", "x"), "/services/demo/x/a%2Fb%3Fc%23d"),
        (node("javascript:alert(1)", "x"), "/services/demo/x/javascript%3Aalert%281%29"),
        (node("postgresql@h:1", kind=NodeKind.DATABASE), "/nodes?id=demo%3A~database%3Apostgresql%40h%3A1"),
    ],
)
def test_links_survive_any_name(one, link):
    assert href(one) == link


# Problems first ----------------------------------------------------------------------------------


def chain_of(bad: str, size: int = 40) -> Topology:
    """Namespaces a, b, c in one chain of calls; one node is bad."""
    return fleet({"a": size, "b": size, "c": size}, {bad: DEGRADED})


def test_a_fleet_too_big_to_draw_opens_with_its_problems_and_what_is_within_two_hops():
    view = select(chain_of("b20"), ViewOptions(mode="auto", max_nodes=50))
    alone = {d.node.name for d in view.nodes if d.shape != "group"}
    assert (view.mode, alone) == ("problems", {"b18", "b19", "b20", "b21", "b22"})
    assert len(view.nodes) == len(alone)
    folded = select(chain_of("b20"), ViewOptions(mode="problems", group="namespace", max_nodes=50))
    assert {d.node.name: d.members for d in folded.nodes if d.shape == "group"} == {"b": 35}
    (why,) = view.why
    assert why.startswith("120 services; shown: 1 node with problems and what is within 2 hops; ")


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        (ViewOptions(mode="auto"), "all"),
        (ViewOptions(mode="problems"), "problems"),
        (ViewOptions(mode="auto", max_nodes=50), "problems"),
        (ViewOptions(mode="auto", max_edges=100), "problems"),
        (ViewOptions(mode="all", max_nodes=50), "all"),
        (ViewOptions(mode="auto", max_nodes=50, focus="demo:b:b20"), "all"),
        (ViewOptions(mode="auto", max_nodes=50, group="namespace"), "all"),
        (ViewOptions(mode="auto", max_nodes=50, errors=True), "all"),
        (ViewOptions(mode="auto", max_nodes=50, hide="ns != b"), "all"),
    ],
)
def test_problems_come_first_where_all_does_not_fit_or_when_asked_for(options, mode):
    assert select(chain_of("b20"), options).mode == mode


def test_a_big_fleet_without_problems_is_shown_by_namespace():
    view = select(fleet({"a": 40, "b": 40}), ViewOptions(mode="auto", max_nodes=50))
    assert (names(view), view.calm, len(view.edges)) == ({"a", "b"}, True, 1)
    assert "none failing or degraded" in view.why[0]


def test_what_is_looked_for_stands_beside_the_problems():
    view = select(chain_of("b20"), ViewOptions(mode="auto", max_nodes=50, find="name = c7"))
    assert "c7" in names(view)
    found = map_view(chain_of("b20"), view, {})["nodes"]
    assert [n for n, hit in zip(found["name"], found["found"], strict=True) if hit] == ["c7"]


def test_a_bad_connection_shows_its_ends_and_one_hop_more():
    good = fleet({"a": 60})
    edges = [
        structs.replace(e, health=Health(FAILING)) if e.source.endswith(":a30") else e for e in good.edges
    ]
    view = select(replace(good, edges=tuple(edges)), ViewOptions(mode="problems"))
    assert {d.node.name for d in view.nodes if d.shape != "group"} == {"a29", "a30", "a31", "a32"}
    assert "1 connection with problems" in view.why[0]


# Trees, paths, errors, expressions ---------------------------------------------------------------


@pytest.fixture
def diamond() -> Topology:
    """web calls x and y, both call db's owner z; other calls y; z calls no one."""
    web, x, y, z, other = (node(name) for name in ("web", "x", "y", "z", "other"))
    return topology(
        [web, x, y, z, other], [edge(web, x), edge(web, y), edge(x, z), edge(y, z, FAILING), edge(other, y)]
    )


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({"focus": "y"}, {"y", "web", "z", "other"}),
        ({"focus": "y", "direction": "up"}, {"y", "web", "other"}),
        ({"focus": "y", "direction": "down"}, {"y", "z"}),
        ({"focus": "z", "direction": "up", "depth": 100}, {"z", "x", "y", "web", "other"}),
        ({"focus": "web", "direction": "down", "depth": 100}, {"web", "x", "y", "z"}),
        ({"focus": "y", "direction": "both", "depth": 100}, {"y", "web", "other", "z"}),
        ({"focus": "web", "target": "z"}, {"web", "x", "y", "z"}),
        ({"focus": "z", "target": "other"}, {"other", "y", "z"}),  # the way back
        ({"focus": "x", "target": "other"}, {"x"}),
        ({"errors": True}, {"y", "z"}),
        ({"hide": "name = y"}, {"web", "x", "z", "other"}),
        ({"hide": "to.name = y and from.name = other"}, {"web", "x", "y", "z"}),
        ({"hide": "x or y", "focus": "y"}, {"y", "z", "web", "other"} - {"x"}),
    ],
)
def test_what_is_asked_for_is_what_is_shown(diamond, over, expected):
    named = {k: f"demo:a:{v}" if k in ("focus", "target") else v for k, v in over.items()}
    assert names(select(diamond, ViewOptions(**named))) == expected


def test_no_path_is_said(diamond):
    options = ViewOptions(focus="demo:a:x", target="demo:a:other")
    assert "no path leads from one to the other" in select(diamond, options).why


def test_an_expression_that_cannot_be_read_names_its_parameter(diamond):
    with pytest.raises(BadInput, match=r"^hide: col 5: expected a number with unit ms or s$") as told:
        select(diamond, ViewOptions(hide="p95>fast"))
    assert told.value.field == "hide"


def test_lists_show_what_is_found_with_its_calls_or_only_what_is_within(diamond):
    part = narrow(diamond, ViewOptions(find="x or z"))
    assert {n.name for n in listed(part, ViewOptions()).nodes} == {"x", "z"}
    assert len(listed(part, ViewOptions()).edges) == 1
    assert len(listed(part, ViewOptions(), touching=True).edges) == 3
    edges = narrow(diamond, ViewOptions(find="!healthy edge.rate > 0"))
    assert {n.name for n in listed(edges, ViewOptions()).nodes} == {"y", "z"}


def test_a_cluster_is_folded_as_one():
    other = structs.replace(node("z"), id="west:a:z", cluster="west")
    view = select(topology([node("x"), node("y"), other]), ViewOptions(group="cluster"))
    assert {(d.node.name, d.members) for d in view.nodes} == {("demo", 2), ("west", 1)}
