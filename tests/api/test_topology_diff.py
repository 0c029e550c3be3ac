"""What changed between two windows, as JSON: absolute windows, classes, rows, the map with its marks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

import numpy as np
import pytest

from app import clock
from app.model.fleet import EvidenceKind, Heard
from app.model.series import Window
from app.store import frames
from app.web.windows import written
from tests.support import small_fleet as fleet

ADDRESS = "/api/v1/topology/diff"
MINUTE = timedelta(minutes=1)
NODES = (fleet.GATEWAY, fleet.ORDER, fleet.PAYMENT, fleet.DATABASE)


@pytest.fixture
def windows(site):
    """Two hours ago payment began to fail and its caller lost the database."""
    middle = clock.now().replace(second=0, microsecond=0) - timedelta(hours=3)
    with site.store.begin() as session:
        for step in range(-10, 10):
            frames.write(session, minute(middle + step * MINUTE, late=step >= 0))
    return {
        "a": written(Window(middle - 10 * MINUTE, middle)),
        "b": written(Window(middle, middle + 10 * MINUTE)),
    }


def minute(start, *, late):
    frame = fleet._frame(start, NODES)
    failed, requests = frame.edge_failed.copy(), frame.edge_requests.copy()
    if late:
        failed[2], requests[1] = 75.0, 0.0
    bit = EvidenceKind.TRACES.bit
    return replace(
        frame,
        edge_failed=failed,
        edge_requests=requests,
        node_seen=np.full(len(NODES), bit, np.uint16),
        edge_seen=np.full(len(fleet.EDGES), bit, np.uint16),
        witnesses={"traces": Heard(60.0, 1.0)},
    )


def asked(client, query, **more):
    return client.get(f"{ADDRESS}?{urlencode(query | more)}")


def test_rows_are_ranked_and_hold_both_values(bob, windows):
    answer = asked(bob, windows).json
    rows = [(row["id"], row["class"]) for row in answer["items"] if row["what"] == "edge"]
    assert rows == [(fleet.EDGES[2], "worse"), (fleet.EDGES[1], "gone")]
    worst = answer["items"][0]
    assert (worst["a"]["error_ratio"], worst["b"]["error_ratio"]) == (0.0, 0.25)
    assert (worst["a"]["requests"], worst["a"]["evidence"]) == (3000.0, ["traces"])
    assert (worst["said"], worst["begins"]) == ("errors 0 % → 25 %", True)
    assert answer["counts"]["edges"] | {"same": 1} == answer["counts"]["edges"]
    assert answer["answer"].startswith("1 connection got worse, 1 vanished")


def test_classes_and_length_of_the_list_can_be_chosen(bob, windows):
    assert {row["class"] for row in asked(bob, windows, **{"class": "gone"}).json["items"]} == {"gone"}
    short = asked(bob, windows, **{"class": "same,gone,worse"}, limit=1).json
    assert (len(short["items"]), short["total"]) == (1, 7)
    assert asked(bob, windows, **{"class": "worst"}).status_code == 400


def test_the_surroundings_of_a_node_hold_what_either_window_connects(bob, windows):
    around = asked(bob, windows, focus=fleet.DATABASE, hops=1).json["items"]
    assert [row["id"] for row in around] == [fleet.EDGES[1]]
    assert asked(bob, windows, focus="demo:shop:nobody").status_code == 404


def test_the_map_draws_both_windows_with_marks_where_the_topology_draws_them(bob, windows):
    drawn = bob.get(f"{ADDRESS}/map?{urlencode(windows)}").json
    marks = dict(zip(drawn["edges"]["id"], drawn["edges"]["mark"], strict=True))
    assert marks == {fleet.EDGES[0]: None, fleet.EDGES[1]: "gone", fleet.EDGES[2]: "worse"}
    usual = bob.get("/api/v1/topology?view=map").json
    places = dict(
        zip(usual["nodes"]["id"], zip(usual["nodes"]["x"], usual["nodes"]["y"], strict=True), strict=True)
    )
    for key, x, y in zip(drawn["nodes"]["id"], drawn["nodes"]["x"], drawn["nodes"]["y"], strict=True):
        assert places[key] == (x, y)


def test_relative_windows_are_told_in_times(bob):
    answer = bob.get(f"{ADDRESS}?a=b-10m&b=now-10m/now").json
    assert answer["a"]["to"] == answer["b"]["from"]
    assert "now" not in answer["b"]["text"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"a": "b-1d", "b": "a-1d"}, "a"),
        ({"b": "incident:142"}, "b"),
        ({"b": "now/now-15m"}, "b"),
        ({"a": "0001-01-01T00:00Z/9999-01-01T00:00Z"}, "a"),
        ({"b": "now-30d/now"}, "b"),
        ({"a": "a-1d"}, "a"),
    ],
)
def test_windows_that_cannot_be_are_refused_by_name(bob, query, field):
    answer = asked(bob, query)
    assert (answer.status_code, answer.json["parameter"]) == (400, field)


def test_a_stranger_sees_nothing(site):
    assert site.client().get(ADDRESS).status_code == 401
