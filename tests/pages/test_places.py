from __future__ import annotations

import pytest

from app import clock, layouts
from app.store import positions
from tests.support.shown import make_fleet

ORDER = "demo:shop:order"
MAP = "/api/v1/topology?view=map&format=columnar"


@pytest.fixture
def alice(site):
    client = site.client("alice")
    client.get(MAP)  # a view has places once it was drawn
    return client


def put(client, **over: object) -> int:
    """The status of the answer to a node being put somewhere."""
    form = {"view": "demo", "node": ORDER, "x": "700", "y": "-30.5", **over}
    status: int = client.post("/topology/pin", data=form).status_code
    return status


def shown(client) -> dict[str, tuple[float, float, bool]]:
    """Node id -> place and pin, as the map is told."""
    nodes = client.get(MAP).json["nodes"]
    return {
        key: (x, y, pinned)
        for key, x, y, pinned in zip(nodes["id"], nodes["x"], nodes["y"], nodes["pinned"], strict=True)
    }


def test_a_pinned_node_stands_where_it_was_put_and_nothing_else_moved(site, alice):
    before = shown(alice)
    assert put(alice) == 204
    site.parts.reader.forget()
    after = shown(site.client("bob"))
    assert after == {**before, ORDER: (700.0, -30.5, True)}


def test_tidying_up_leaves_a_pinned_node_until_all_are_given_back(site, alice):
    put(alice)
    alice.post("/topology/tidy", data={"back": ""})
    site.parts.reader.forget()
    assert shown(alice)[ORDER] == (700.0, -30.5, True)
    assert alice.post("/topology/unpin", data={"view": "demo"}).status_code == 204
    site.parts.reader.forget()
    assert shown(alice)[ORDER] == (700.0, -30.5, False)
    alice.post("/topology/tidy", data={"back": ""})
    site.parts.reader.forget()
    assert shown(alice)[ORDER][:2] != (700.0, -30.5)


def test_undoing_a_move_leaves_the_node_to_the_layout(site, alice):
    put(alice)
    assert put(alice, free="1", x="1", y="2") == 204
    site.parts.reader.forget()
    assert shown(alice)[ORDER] == (1.0, 2.0, False)


@pytest.mark.parametrize("over", [{"x": "left"}, {"y": "nan"}, {"x": "1e9"}, {"y": ""}])
def test_a_place_that_is_none_is_refused(alice, over):
    assert put(alice, **over) == 400


@pytest.mark.parametrize("over", [{"node": "demo:shop:nobody"}, {"view": "another"}])
def test_a_node_that_is_not_on_the_map_is_not_found(alice, over):
    assert put(alice, **over) == 404


def test_a_viewer_and_a_forged_request_change_nothing(site, alice):
    before = shown(alice)
    assert put(site.client("bob")) == 403
    assert site.client("bob").post("/topology/unpin", data={"view": "demo"}).status_code == 403
    alice.environ_base.pop("HTTP_X_QD_CSRF")
    assert put(alice) == 403
    assert shown(alice) == before


def test_a_look_at_the_past_moves_nothing_even_if_most_of_it_is_unknown_now(empty_site):
    store = empty_site.store
    now = make_fleet(clock.now())
    few = [node.id for node in now.nodes][:2]
    layouts.arrange(store, "demo", few, [])
    with store.reading() as session:
        before = positions.positions(session, "demo")
    layouts.map_document(store, now, still=True)
    with store.reading() as session:
        after = positions.positions(session, "demo")
    assert len(after) == len(now.nodes)
    assert {key: after[key] for key in few} == before
