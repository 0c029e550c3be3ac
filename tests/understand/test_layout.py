from __future__ import annotations

import random
from itertools import combinations

import pytest
import rustworkx
from hypothesis import given, settings
from hypothesis import strategies as st

from app.understand import layout

EDGES = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=120)
    )
)


@given(EDGES)
def test_a_cleaned_list_is_acyclic_sorted_and_without_loops_and_duplicates(graph):
    count, edges = graph
    cleaned = layout.clean(count, edges)
    assert cleaned == sorted(set(cleaned))
    assert all(a != b for a, b in cleaned)
    digraph = rustworkx.PyDiGraph()
    digraph.add_nodes_from(range(count))
    digraph.add_edges_from_no_data(cleaned)
    assert rustworkx.is_directed_acyclic_graph(digraph)


@given(EDGES)
def test_cleaning_loses_no_connection_and_invents_none(graph):
    count, edges = graph
    assert {frozenset(pair) for pair in layout.clean(count, edges)} == {
        frozenset(pair) for pair in edges if pair[0] != pair[1]
    }


def test_an_acyclic_list_is_not_turned_round():
    edges = [(a, b) for a in range(12) for b in range(a + 1, 12) if (a + b) % 3]
    assert layout.clean(12, edges) == sorted(edges)


def test_few_edges_of_a_tiered_fleet_are_reversed():
    rng = random.Random(3)
    forward = {tuple(sorted(rng.sample(range(300), 2))) for _ in range(1000)}
    back = {(b, a) for a, b in list(forward)[:40]}
    edges = (forward - {(b, a) for a, b in back}) | back
    reversed_edges = set(layout.clean(300, edges)) - edges
    assert len(reversed_edges) <= 60


@given(EDGES)
def test_the_plain_drawing_places_every_node_somewhere_else(graph):
    count, edges = graph
    places = layout.by_longest_path(count, layout.clean(count, edges))
    assert len(set(places)) == count
    assert all(x >= 0 and y >= 0 for x, y in places)


@settings(deadline=None)
@given(EDGES)
def test_callers_stand_left_of_their_callees(graph):
    count, edges = graph
    cleaned = layout.clean(count, edges)
    for places in (layout.compute(count, cleaned), layout.by_longest_path(count, cleaned)):
        assert all(places[a][0] < places[b][0] for a, b in cleaned)


def test_components_do_not_overlap():
    places = layout.compute(7, [(0, 1), (0, 2), (3, 4), (5, 6)])
    boxes = [[places[n] for n in part] for part in ((0, 1, 2), (3, 4), (5, 6))]

    def apart(one, other):
        return (
            max(x for x, _ in one) < min(x for x, _ in other)
            or max(x for x, _ in other) < min(x for x, _ in one)
            or max(y for _, y in one) < min(y for _, y in other)
            or max(y for _, y in other) < min(y for _, y in one)
        )

    assert all(apart(boxes[a], boxes[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


def test_nodes_without_edges_stand_in_a_row_below():
    places = layout.compute(5, [(0, 1)])
    assert {y for _, y in places[2:]} == {places[2][1]}
    assert places[2][1] > max(places[0][1], places[1][1])


def test_nothing_at_all_has_no_places():
    assert layout.compute(0, []) == []
    assert len(layout.compute(3, [])) == 3


def test_ids_are_dense_integers_in_the_order_of_sorted_names():
    assert layout.dense(["b", "a", "c"], [("b", "a"), ("c", "c"), ("x", "a")]) == (["a", "b", "c"], [(1, 0)])


def test_a_newcomer_stands_right_of_its_callers_at_their_mean_height():
    known = {"a": (0.0, 0.0), "b": (0.0, 144.0)}
    assert layout.beside(known, ["c"], [("a", "c"), ("b", "c")]) == {"c": (layout.RANK_GAP, 72.0)}


def test_a_newcomer_that_only_calls_stands_left_of_its_callees():
    assert layout.beside({"a": (440.0, 72.0)}, ["c"], [("c", "a")]) == {"c": (220.0, 72.0)}


def test_newcomers_keep_their_distance():
    known = {f"n{i}": (220.0, 72.0 * i) for i in range(10)} | {"root": (0.0, 324.0)}
    new = [f"x{i}" for i in range(5)]
    found = layout.beside(known, new, [("root", name) for name in new])
    everybody = [*known.values(), *found.values()]
    for name, (x, y) in found.items():
        near = [p for p in everybody if p != found[name] and abs(p[0] - x) < layout.CLEARANCE]
        assert all(abs(y - other) >= layout.CLEARANCE for _, other in near)


def test_newcomers_that_know_only_each_other_are_placed_too():
    found = layout.beside({"a": (0.0, 0.0)}, ["x", "y"], [("x", "y")])
    assert set(found) == {"x", "y"}
    assert found["y"][0] > found["x"][0]


@given(
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=2),
        st.tuples(st.floats(0, 2000), st.floats(0, 2000)),
        max_size=10,
    ),
    st.lists(
        st.tuples(st.text("abcdefgh", min_size=1, max_size=2), st.text("abcdefgh", min_size=1, max_size=2))
    ),
)
def test_every_newcomer_gets_a_place_and_nobody_known_moves(known, edges):
    new = {end for edge in edges for end in edge} - known.keys()
    assert layout.beside(known, sorted(new), edges).keys() == new


@pytest.mark.parametrize("count", [401, 1000])
def test_large_fleets_are_drawn_with_springs(count):
    edges = layout.clean(count, [(i, (i * 7 + 1) % count) for i in range(count)])
    places = layout.compute(count, edges)
    assert len(places) == count
    assert all(x >= 0 and y >= 0 for x, y in places)


def overlapping(places):
    return [
        (a, b)
        for a, b in combinations(places, 2)
        if abs(a[0] - b[0]) < layout.RANK_GAP - 1 and abs(a[1] - b[1]) < layout.ROW_GAP - 1
    ]


def test_groups_that_all_call_each_other_stand_clear_of_each_other_in_springs():
    count = 14
    edges = layout.clean(count, [(a, b) for a in range(count) for b in range(count)])
    places = layout.compute(count, edges, ranks=False)
    assert overlapping(places) == []
    assert places == layout.compute(count, edges, ranks=False)
    width, height = (max(values) - min(values) for values in zip(*places, strict=True))
    assert width > height


def test_a_newcomer_without_rank_stands_amid_its_neighbours_and_nobody_moves():
    known = {"a": (0.0, 0.0), "b": (880.0, 0.0), "c": (440.0, 0.0)}
    found = layout.among(known, ["new", "alone"], [("a", "new"), ("new", "b")])
    assert set(found) == {"new", "alone"}
    assert 220 <= found["new"][0] <= 660
    assert overlapping([*known.values(), *found.values()]) == []


def test_a_tall_drawing_is_spread_to_about_the_shape_of_a_screen():
    leaves = range(1, 61)
    places = layout.compute(61, [(0, leaf) for leaf in leaves])
    width, height = (max(values) - min(values) for values in zip(*places, strict=True))
    assert height < 2 * width
    assert all(places[0][0] < places[leaf][0] for leaf in leaves)
    assert overlapping(places) == []
