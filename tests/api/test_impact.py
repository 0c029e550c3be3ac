"""What hangs on a node or an edge, asked over HTTP."""

from __future__ import annotations

import pytest

from tests.support.small_fleet import DATABASE, EDGES, GATEWAY, ORDER

ADDRESS = "/api/v1/topology/impact"


def test_a_database_is_crossed_by_what_its_callers_are_asked(bob):
    answer = bob.get(ADDRESS, query_string={"node": DATABASE}).json
    assert 0 < answer["share"] <= 1
    assert answer["basis"] == "rates"
    assert {ORDER, GATEWAY} <= {caller["id"] for caller in answer["callers"]}
    assert set(answer["services"]) >= {ORDER, GATEWAY}
    assert answer["sentence"].endswith("directly.")


def test_an_edge_affects_its_caller_and_whoever_calls_that(bob):
    edge = next(one for one in EDGES if one.startswith(f"{ORDER}>"))
    callers = {one["id"]: one for one in bob.get(ADDRESS, query_string={"edge": edge}).json["callers"]}
    assert callers[ORDER]["direct"]
    assert not callers[GATEWAY]["direct"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 400),
        ({"node": ORDER, "edge": EDGES[0]}, 400),
        ({"node": "demo:shop:nobody"}, 404),
        ({"edge": f"{ORDER}>nobody>http"}, 404),
        ({"node": "elsewhere:a:b"}, 404),
    ],
)
def test_what_cannot_be_answered_is_a_problem_that_says_so(bob, query, status):
    answer = bob.get(ADDRESS, query_string=query)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
