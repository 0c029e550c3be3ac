from __future__ import annotations

from datetime import timedelta

import pytest

from app.model.fleet import Health, HealthStatus, Topology
from app.understand.origin import origins
from tests.support.factories import NOON, make_edge, make_node

FAILING, DEGRADED, UNKNOWN = HealthStatus.FAILING, HealthStatus.DEGRADED, HealthStatus.UNKNOWN


def fleet(states: dict[str, HealthStatus], *calls: tuple[str, str]) -> Topology:
    names = {name for call in calls for name in call} | states.keys()
    nodes = [make_node(name, health=Health(states.get(name, HealthStatus.HEALTHY))) for name in sorted(names)]
    edges = [make_edge(source, target) for source, target in calls]
    return Topology("demo", NOON, timedelta(minutes=1), tuple(nodes), tuple(edges), ())


def told(topology: Topology) -> list[tuple[str, list[str]]]:
    names = {node.id: node.name for node in topology.nodes}
    return [(one.node.name, [names[key] for key in one.affected]) for one in origins(topology)]


CHAIN = (("web", "order"), ("order", "pay"), ("pay", "db"))


@pytest.mark.parametrize(
    ("states", "calls", "expected"),
    [
        ({}, CHAIN, []),
        ({"pay": FAILING}, CHAIN, [("pay", [])]),
        ({"web": FAILING, "order": FAILING, "pay": DEGRADED}, CHAIN, [("pay", ["order", "web"])]),
        ({"web": FAILING, "db": FAILING}, CHAIN, [("db", []), ("web", [])]),
        ({"web": DEGRADED, "cart": FAILING}, (*CHAIN, ("web", "cart")), [("cart", ["web"])]),
        ({"order": UNKNOWN}, CHAIN, []),
        ({"order": FAILING}, (("order", "order"), *CHAIN), [("order", [])]),
        ({"a": FAILING, "b": DEGRADED}, (("a", "b"), ("b", "a")), [("a", []), ("b", [])]),
        ({"lonely": DEGRADED}, (), [("lonely", [])]),
    ],
)
def test_the_origin_is_what_no_unhealthy_dependency_explains(states, calls, expected):
    assert told(fleet(states, *calls)) == expected


def test_the_worst_origin_comes_first_then_the_one_that_hurts_most():
    calls = (("web", "order"), ("web", "cart"), ("app", "cart"), ("ops", "log"))
    states = dict.fromkeys(("web", "app", "order", "cart", "ops"), FAILING) | {"log": DEGRADED}
    assert [name for name, _ in told(fleet(states, *calls))] == ["cart", "order", "log"]
