from __future__ import annotations

import itertools
import random
import sys
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import NotFound
from app.layouts import LayoutProcess, arrange, map_document, view_name
from app.model.fleet import EvidenceKind
from app.store import positions
from app.store.engine import Store
from app.understand import layout
from app.understand.identity import Resolver
from app.understand.topology import build
from app.understand.view import ViewOptions
from tests.support.fleets import NOON, edge_row, fresh, service, snapshot, witness


@pytest.fixture(scope="module")
def process():
    with closing(LayoutProcess()) as found:
        yield found


@pytest.fixture
def store(tmp_path):
    found = Store(f"sqlite:///{tmp_path}/q.db", tmp_path)
    found.migrate()
    yield found
    found.dispose()


def child(code: str, deadline: float = 5.0) -> LayoutProcess:
    return LayoutProcess([sys.executable, "-c", code], deadline=deadline)


IDS = [f"n{i:02}" for i in range(12)]
CHAIN = list(itertools.pairwise(IDS))


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 60).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(st.tuples(st.integers(0, max(n - 1, 0)), st.integers(0, max(n - 1, 0))), max_size=200),
        )
    )
)
def test_any_edge_list_gives_every_node_a_place_and_the_parent_lives(process, graph):
    count, edges = graph
    places, approximate = process.places(count, layout.clean(count, edges))
    assert len(places) == count
    assert len(set(places)) == count
    assert not approximate


def test_random_fleets_up_to_the_cap_are_drawn_in_time(process):
    rng = random.Random(1)
    for count, wanted in ((60, 180), (120, 400), (300, 700)):
        edges = [(rng.randrange(count), rng.randrange(count)) for _ in range(wanted)]
        assert len(process.places(count, layout.clean(count, edges))[0]) == count


def test_two_processes_draw_the_same_picture(process):
    edges = layout.clean(
        40, [(i, (i * 7 + 3) % 40) for i in range(40)] + [(i, (i * 11 + 5) % 40) for i in range(40)]
    )
    with closing(LayoutProcess()) as other:
        assert process.places(40, edges) == other.places(40, edges)


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(60)",
        "raise SystemExit(3)",
        "import os; os.abort()",
        "import sys; sys.stdout.write('garbage that is no frame'); sys.stdout.flush(); sys.stdin.read()",
        r"import sys; sys.stdout.buffer.write(b'\0\0\0\1\x90'); sys.stdout.flush(); sys.stdin.buffer.read()",
    ],
    ids=["late", "dead", "aborted", "garbage", "too few"],
)
def test_a_child_that_fails_is_replaced_and_ranks_are_computed_here(code):
    with closing(child(code, deadline=0.4)) as broken:
        places, approximate = broken.places(3, [(0, 1), (1, 2)])
    assert approximate
    assert [x for x, _ in places] == [0.0, layout.RANK_GAP, 2 * layout.RANK_GAP]


def test_a_killed_child_is_replaced_unnoticed(process):
    process.places(2, [(0, 1)])
    process._child.kill()
    process._child.wait()
    assert process.places(2, [(0, 1)])[1] is False


def test_a_view_drawn_first_is_laid_out_and_kept(store, process):
    first = arrange(store, "v", IDS, CHAIN, process=process)
    assert first.places.keys() == set(IDS)
    with store.reading() as session:
        assert positions.positions(session, "v") == first.places
    with closing(child("raise SystemExit(1)")) as never_asked:
        assert arrange(store, "v", IDS, CHAIN, process=never_asked).places == first.places


def test_a_newcomer_moves_nobody(store, process):
    first = arrange(store, "v", IDS, CHAIN, process=process)
    second = arrange(store, "v", [*IDS, "new"], [*CHAIN, ("n03", "new")], process=process)
    assert {key: second.places[key] for key in IDS} == first.places
    assert second.places["new"][0] > first.places["n03"][0]


def test_a_node_that_comes_back_finds_its_place(store, process):
    first = arrange(store, "v", IDS, CHAIN, process=process)
    arrange(store, "v", IDS[:-1], CHAIN[:-1], process=process)
    assert arrange(store, "v", IDS, CHAIN, process=process).places == first.places


def test_many_newcomers_are_a_new_picture(store, process):
    arrange(store, "v", IDS[:6], CHAIN[:5], process=process)
    redrawn = arrange(store, "v", IDS, CHAIN, process=process)
    fresh_drawing = arrange(store, "w", IDS, CHAIN, process=process)
    assert redrawn.places == fresh_drawing.places


def test_tidying_up_leaves_pinned_nodes_where_they_are(store, process):
    arrange(store, "v", IDS, CHAIN, process=process)
    with store.begin() as session:
        positions.pin(session, "v", "n05", 7.0, 9.0)
        positions.place(session, "v", {"n06": (1.0, 1.0)})
    tidy = arrange(store, "v", IDS, CHAIN, process=process, tidy=True)
    assert tidy.places["n05"] == (7.0, 9.0, True)
    assert tidy.places["n06"] != (1.0, 1.0, False)


def test_a_late_layout_says_that_it_is_provisional(store):
    with closing(child("import time; time.sleep(60)", deadline=0.2)) as late:
        assert arrange(store, "v", IDS, CHAIN, process=late).approximate


def fleet():
    rows = [edge_row(service(a), service(b), 60) for a, b in CHAIN]
    seen = snapshot(witness(EvidenceKind.MESH, edges=rows))
    return build("demo", [seen], [fresh()], Resolver("demo", (), None), None, {}, NOON).topology


def test_the_map_document_has_places_for_all_it_shows(store, process):
    found = map_document(store, fleet(), version="t7", process=process)
    assert found["version"] == "t7"
    assert len(found["nodes"]["id"]) == 12
    assert len(set(zip(found["nodes"]["x"], found["nodes"]["y"], strict=True))) == 12
    again = map_document(store, fleet(), process=process)
    assert again["layout"] == found["layout"]


def test_each_focus_has_its_own_drawing(store, process):
    options = ViewOptions(focus="demo:shop:n03", depth=1)
    found = map_document(store, fleet(), options, process=process)
    assert sorted(found["nodes"]["name"]) == ["n02", "n03", "n04"]
    with store.reading() as session:
        assert len(positions.positions(session, view_name("demo", focus="demo:shop:n03"))) == 3


def test_an_unknown_focus_is_not_found(store, process):
    with pytest.raises(NotFound):
        map_document(store, fleet(), ViewOptions(focus="demo:shop:nobody"), process=process)
