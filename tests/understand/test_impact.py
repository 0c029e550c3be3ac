from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import NotFound
from app.model.fleet import EdgeKind, Health, HealthStatus, NodeKind, Topology
from app.understand.impact import Basis, impact_of_edge, impact_of_node, sentence, share_words
from tests.support.factories import NOON, make_edge, make_node


def fleet(rates: dict[str, float | None], *calls: tuple[str, str, float], **over) -> Topology:
    """Services with their own rate, and calls (source, target, rps); names that begin with user are clients."""
    names = sorted({name for source, target, _ in calls for name in (source, target)} | rates.keys())
    kinds = {name: NodeKind.CLIENT if name.startswith("user") else NodeKind.SERVICE for name in names}
    nodes = [make_node(name, rps=rates.get(name), kind=kinds[name], **over.get(name, {})) for name in names]
    edges = [make_edge(source, target, rps=rps) for source, target, rps in calls]
    return Topology("demo", NOON, timedelta(minutes=1), tuple(nodes), tuple(edges), ())


def of(topology: Topology, name: str):
    return impact_of_node(topology, next(node.id for node in topology.nodes if node.name == name))


SHOP = (
    ("user", "web", 100.0),
    ("web", "order", 60.0),
    ("web", "search", 80.0),
    ("order", "pay", 30.0),
    ("pay", "db", 90.0),
)
RATES = {"user": None, "web": 100.0, "order": 60.0, "search": 80.0, "pay": 30.0, "db": 90.0}


@pytest.mark.parametrize(
    ("name", "share"), [("web", 1.0), ("search", 0.8), ("order", 0.6), ("pay", 0.3), ("db", 0.3)]
)
def test_the_share_follows_the_calls_of_each_entry(name, share):
    impact = of(fleet(RATES, *SHOP), name)
    assert impact.share == pytest.approx(share)
    assert impact.basis is Basis.RATES
    assert [entry.node.name for entry in impact.entries] == ["web"]


def test_callers_come_worst_first_with_the_share_of_their_requests():
    failing = {"health": Health(HealthStatus.FAILING)}
    impact = of(fleet(RATES, *SHOP, order=failing), "pay")
    told = [(one.node.name, one.direct, one.share and round(one.share, 2)) for one in impact.callers]
    assert told == [("order", True, 0.5), ("web", False, 0.3)]
    assert sentence(impact) == (
        "30 % of entry requests cross it (estimated from call rates); 2 services call it, 1 of them directly."
    )


def test_an_edge_has_the_share_of_its_own_calls():
    topology = fleet(RATES, *SHOP)
    edge = next(edge for edge in topology.edges if edge.rps == 30.0)
    impact = impact_of_edge(topology, edge.id)
    assert impact.share == pytest.approx(0.3)
    assert [(one.node.name, one.direct) for one in impact.callers] == [("order", True), ("web", False)]
    assert [key.rpartition(":")[2] for key in impact.services] == ["order", "web"]


def test_two_ways_to_one_database_are_not_added():
    topology = fleet(
        {"web": 100.0, "a": 100.0, "b": 100.0},
        ("web", "a", 100.0),
        ("web", "b", 100.0),
        ("a", "db", 50.0),
        ("b", "db", 50.0),
    )
    assert of(topology, "db").share == pytest.approx(0.75)


def test_requests_whose_caller_nobody_sees_enter_where_they_arrive():
    topology = fleet({"web": 100.0, "probe": 1.0, "pay": 50.0}, ("probe", "web", 1.0), ("web", "pay", 50.0))
    impact = of(topology, "pay")
    assert impact.share == pytest.approx(0.5, abs=0.01)
    assert {entry.node.name for entry in impact.entries} == {"web", "probe"}


def test_a_cycle_is_followed_to_its_end():
    topology = fleet(
        {"web": 10.0, "a": 10.0, "b": 10.0},
        ("web", "a", 10.0),
        ("a", "b", 5.0),
        ("b", "a", 5.0),
        ("b", "db", 5.0),
    )
    assert 0.25 <= of(topology, "db").share <= 0.5


def test_what_traces_told_is_believed_first():
    impact = of(fleet(RATES, *SHOP, pay={"entry_share": 0.62}), "pay")
    assert (impact.share, impact.basis) == (0.62, Basis.TRACES)
    assert sentence(impact).startswith("62 % of entry requests cross it (by traces)")


def test_producers_reach_a_consumer_through_a_queue_and_do_not_wait_for_it():
    nodes = (
        make_node("order", rps=10.0),
        make_node("jobs", kind=NodeKind.QUEUE, rps=10.0),
        make_node("mail", rps=10.0),
    )
    edges = (
        make_edge("order", "jobs", rps=10.0, kind=EdgeKind.ASYNC),
        make_edge("jobs", "mail", rps=10.0, kind=EdgeKind.ASYNC),
    )
    impact = of(Topology("demo", NOON, timedelta(minutes=1), nodes, edges), "mail")
    assert impact.share == pytest.approx(1.0)
    assert [(one.node.name, one.waits) for one in impact.callers] == [("jobs", False), ("order", False)]
    assert [key.rpartition(":")[2] for key in impact.services] == ["mail"]
    assert sentence(impact).endswith("1 service reaches it through queues.")


def test_without_any_rate_the_share_is_unknown_and_callers_are_still_named():
    topology = fleet({}, ("web", "pay", None))
    impact = of(topology, "pay")
    assert (impact.share, impact.basis) == (None, None)
    assert sentence(impact) == "1 service calls it."


def test_other_clusters_do_not_dilute_the_share():
    here, there = fleet(RATES, *SHOP), make_node("other", rps=900.0, cluster="there")
    both = Topology("", NOON, timedelta(minutes=1), (*here.nodes, there), here.edges)
    assert of(both, "pay").share == pytest.approx(0.3)


def test_what_is_not_there_is_not_found():
    for ask in (impact_of_node, impact_of_edge):
        with pytest.raises(NotFound):
            ask(fleet(RATES, *SHOP), "demo:shop:nobody")


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, "all"), (0.997, "over 99 %"), (0.62, "62 %"), (0.004, "under 1 %"), (0.0, "none")],
)
def test_a_share_is_neither_all_nor_nothing_unless_it_is(share, words):
    assert share_words(share) == words


NAMES = ["user", "a", "b", "c", "d"]
CALL = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES[1:]), st.floats(0.01, 1000))
FLEETS = st.tuples(
    st.lists(CALL, min_size=1, max_size=14, unique_by=lambda call: call[:2]),
    st.dictionaries(st.sampled_from(NAMES[1:]), st.floats(0.01, 1000)),
)


@settings(max_examples=30)
@given(FLEETS)
def test_shares_lie_between_nothing_and_all(made):
    calls, rates = made
    topology = fleet(rates, *calls)
    for impact in (
        *(of(topology, node.name) for node in topology.nodes),
        *(impact_of_edge(topology, e.id) for e in topology.edges),
    ):
        assert impact.share is None or 0 <= impact.share <= 1
        assert all(0 < one.share <= 1.000001 for one in impact.entries)
        assert all(one.share is None or 0 <= one.share <= 1 for one in impact.callers)


@settings(max_examples=30)
@given(FLEETS)
def test_a_node_is_crossed_by_at_least_what_each_call_to_it_carries(made):
    calls, rates = made
    topology = fleet(rates, *calls)
    names = {node.id: node.name for node in topology.nodes}
    for edge in topology.edges:
        if edge.source == edge.target:
            continue
        whole, part = of(topology, names[edge.target]).share, impact_of_edge(topology, edge.id).share
        assert (part or 0) <= (whole or 0) + 0.01
