"""Workloads as Kubernetes knows them."""

from __future__ import annotations

import pytest

BASE = "/api/v1/workloads/demo/shop/Deployment/order"


def test_live_state(bob):
    answer = bob.get(BASE).json
    assert (answer["uid"], answer["replicas"]["desired"], answer["revision"]) == ("uid-order", 3, "2")
    assert answer["containers"][0]["image"].endswith("order:v2")


def test_the_kind_may_be_written_in_lower_case(bob):
    assert bob.get(BASE.lower()).status_code == 200


def test_pods_are_those_of_its_revisions_only(bob):
    rows = bob.get(f"{BASE}/pods").json["items"]
    assert sorted(row["uid"] for row in rows) == ["pod-0", "pod-1", "pod-2"]


def test_revisions_come_newest_first_with_what_a_return_would_change(bob):
    new, old = bob.get(f"{BASE}/revisions").json["items"]
    assert (new["number"], new["current"], new["diff"]) == (2, True, [])
    assert old["current"] is False
    assert old["diff"] == [
        {"path": "app.image", "before": "registry.local/order:v2", "after": "registry.local/order:v1"}
    ]
    assert old["age_seconds"] == pytest.approx(3 * 86400, abs=60)


def test_pages_of_pods(bob):
    first = bob.get(f"{BASE}/pods?limit=2")
    assert len(first.json["items"]) == 2
    second = bob.get(f"{BASE}/pods", query_string={"limit": 2, "cursor": first.json["next_cursor"]})
    assert len(second.json["items"]) == 1
    assert second.json["next_cursor"] is None


@pytest.mark.parametrize(
    "path", ["demo/shop/Deployment/none", "demo/other/Deployment/order", "none/shop/Deployment/x"]
)
def test_what_kubernetes_does_not_know_is_404(bob, path):
    assert bob.get(f"/api/v1/workloads/{path}").status_code == 404
