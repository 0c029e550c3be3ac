"""Traffic over time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app import clock
from tests.support.small_fleet import DATABASE, EDGES, ORDER, PAYMENT


def roles(answer):
    return {row["role"]: row for row in answer.json["series"]}


def test_a_service_shows_rate_errors_and_quantiles(bob):
    answer = bob.get(f"/api/v1/services/{ORDER}/series")
    lines = roles(answer)
    assert list(lines) == ["rps", "error_ratio", "p50", "p95", "p99"]
    assert set(lines["rps"]["y"]) == {10.0}
    assert set(lines["error_ratio"]["y"]) == {0.01}
    assert all(0.04 < value < 0.07 for value in lines["p95"]["y"])
    assert (answer.json["n"], answer.json["step_s"]) == (60, 60.0)
    assert "errors 1 %" in answer.json["caption"]


@pytest.mark.parametrize(("metric", "expected"), [("rate", ["rps"]), ("latency", ["p50", "p95", "p99"])])
def test_one_metric_can_be_chosen(bob, metric, expected):
    assert list(roles(bob.get(f"/api/v1/services/{ORDER}/series?metric={metric}"))) == expected


@pytest.mark.parametrize("one", [DATABASE, EDGES[0]])
def test_nodes_and_edges_have_lines_too(bob, one):
    answer = bob.get("/api/v1/nodes/series", query_string={"id": one, "metric": "rate"})
    assert answer.status_code == 200
    assert set(roles(answer)["rps"]["y"]) <= {5.0, 10.0}


def test_minutes_that_nobody_saw_are_gaps(bob):
    end = clock.now().replace(second=0, microsecond=0)
    query = {"from": (end - timedelta(hours=2)).isoformat(), "to": end.isoformat(), "metric": "rate"}
    values = roles(bob.get(f"/api/v1/services/{PAYMENT}/series", query_string=query))["rps"]["y"]
    assert None in values[:60]
    assert 0.0 not in values


def test_a_longer_step_means_fewer_points(bob):
    answer = bob.get(f"/api/v1/services/{ORDER}/series?step=10m&metric=rate")
    assert answer.json["step_s"] == 600.0
    assert max(value for value in roles(answer)["rps"]["y"] if value is not None) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("step=1s", "step"),
        ("step=5", "step"),
        ("metric=cpu", "metric"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("from=2020-01-01T00:00:00Z", "from"),
        ("from=2026-01-01T00:00:00Z&to=2026-12-01T00:00:00Z&step=1m", "step"),
    ],
)
def test_impossible_stretches_name_the_parameter(bob, query, parameter):
    answer = bob.get(f"/api/v1/services/{ORDER}/series?{query}")
    assert (answer.status_code, answer.json["parameter"]) == (400, parameter)


def test_an_id_of_no_known_cluster_is_404(bob):
    assert bob.get("/api/v1/services/other:shop:order/series").status_code == 404
