"""Actions through the API: who may, what is answered, and that nothing is done twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app import clock
from app.api import actions as views
from app.api import cursor
from app.model.action import ActionState, Check, DiffLine, Plan, Target, Verdict
from app.store import actions, audit

BODY = {
    "kind": "scale",
    "target": {"cluster": "demo", "namespace": "shop", "kind": "Deployment", "name": "order"},
    "params": {"replicas": 5},
    "reason": "p95 is four times the usual",
}
TARGET = Target("demo", "shop", "Deployment", "order")
PLAN = Plan(
    summary="Scale order from 3 to 5 replicas",
    diff=(DiffLine("spec.replicas", "3", "5"),),
    guardrails=(Check("step", Verdict.PASS, "within the usual"),),
    write={"method": "PUT"},
    plan_hash="sha256:abc",
)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """This process cannot plan; a request does not wait for the one that could."""
    wait = views.wait_for_plan
    monkeypatch.setattr(views, "wait_for_plan", lambda row: wait(row, seconds=0.0))


def planned(site, *, proposer="alice", state=ActionState.PLANNED, plan=PLAN):
    """An action as the act queue leaves it."""
    with site.store.begin() as session:
        row, _ = actions.create(
            session, kind="scale", target=TARGET, params={"replicas": 5}, reason="why", proposer=proposer
        )
        until = clock.now() + timedelta(minutes=10)
        actions.advance(
            session,
            row.id,
            [ActionState.PLANNING],
            state,
            plan=plan,
            plan_hash=plan.plan_hash,
            expires_at=until,
        )
    return row.id


def test_without_a_planner_the_answer_is_202_and_says_where_to_look(site):
    answer = site.client("alice").post("/api/v1/actions", json=BODY)
    assert (answer.status_code, answer.json["state"]) == (202, "planning")
    assert answer.headers["Location"] == f"/api/v1/actions/{answer.json['id']}"
    with site.store.reading() as session:
        (row,) = audit.page(session)
    assert (row.who, row.what) == ("alice", "scale.propose")


def test_a_plan_is_read_with_what_one_decides_on(site, bob):
    action_id = planned(site)
    answer = bob.get(f"/api/v1/actions/{action_id}").json
    assert answer["state"] == "planned"
    assert answer["plan"]["diff"] == [{"path": "spec.replicas", "before": "3", "after": "5"}]
    assert answer["plan"]["guardrails"][0]["verdict"] == "pass"
    assert "write" not in answer["plan"]
    assert answer["plan_hash"] == "sha256:abc"


@pytest.mark.parametrize("who", ["bob", None])
@pytest.mark.parametrize("path", ["", "/x/execute", "/x/cancel", "/x/approve", "/x/reject"])
def test_a_viewer_and_a_stranger_may_not_act(site, who, path):
    answer = site.client(who).post(f"/api/v1/actions{path}", json=BODY)
    assert answer.status_code == (401 if who is None else 403)


@pytest.mark.parametrize("path", ["/x/approve", "/x/reject"])
def test_approving_takes_an_approver_and_never_a_token(site, path):
    assert site.client("alice").post(f"/api/v1/actions{path}", json={}).status_code == 403
    answer = site.client().post(f"/api/v1/actions{path}", json={}, headers=site.token("approver"))
    assert answer.status_code == 403


def test_a_narrow_token_acts_only_where_it_may(site):
    headers = site.token("action:scale@payments")
    assert site.client().post("/api/v1/actions", json=BODY, headers=headers).status_code == 403
    headers = site.token("action:scale@shop")
    assert site.client().post("/api/v1/actions", json=BODY, headers=headers).status_code == 202


@pytest.mark.parametrize(
    ("over", "status", "parameter"),
    [
        ({"kind": "explode"}, 400, "kind"),
        ({"params": {"replicas": -1}}, 400, "params.replicas"),
        ({"params": {"replicas": "5"}}, 400, "params.replicas"),
        ({"reason": "  "}, 400, "reason"),
        ({"target": {"cluster": "demo", "namespace": "shop", "kind": "Deployment"}}, 422, "target"),
        ({"target": BODY["target"] | {"cluster": "nowhere"}}, 400, "target.cluster"),
        ({"reason": "x" * 3000}, 422, "reason"),
        ({"surprise": True}, 422, None),
    ],
)
def test_a_body_that_cannot_be_planned_names_what_is_wrong(site, over, status, parameter):
    answer = site.client("alice").post("/api/v1/actions", json=BODY | over)
    assert (answer.status_code, answer.json.get("parameter")) == (status, parameter)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'"x"'])
def test_a_body_that_is_no_object_is_refused(site, raw):
    answer = site.client("alice").post("/api/v1/actions", data=raw, content_type="application/json")
    assert answer.status_code in (400, 422)


def test_the_same_key_proposes_once(site):
    client = site.client("alice")
    answers = [client.post("/api/v1/actions", json=BODY, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].json["id"] == answers[1].json["id"]
    with site.store.reading() as session:
        assert len(actions.page(session)) == 1


def test_another_hash_than_the_plans_is_409(site):
    action_id = planned(site)
    answer = site.client("alice").post(
        f"/api/v1/actions/{action_id}/execute", json={"plan_hash": "sha256:other"}
    )
    assert (answer.status_code, answer.json["type"]) == (409, "/api/docs#problem-conflict")


def test_executing_where_no_account_writes_hands_it_to_the_queue(site):
    action_id = planned(site)
    answer = site.client("alice").post(
        f"/api/v1/actions/{action_id}/execute", json={"plan_hash": "sha256:abc"}
    )
    assert (answer.status_code, answer.json["state"], answer.json["executor"]) == (200, "executing", "alice")
    again = site.client("alice").post(
        f"/api/v1/actions/{action_id}/execute", json={"plan_hash": "sha256:abc"}
    )
    assert again.status_code == 409


def test_cancelling_takes_it_back_once(site):
    action_id = planned(site)
    client = site.client("alice")
    assert client.post(f"/api/v1/actions/{action_id}/cancel").json["state"] == "cancelled"
    assert client.post(f"/api/v1/actions/{action_id}/cancel").status_code == 409


@pytest.mark.parametrize("proposer", ["carol", "carol via ci"])
def test_nobody_approves_what_they_proposed_not_even_through_a_token(site, proposer):
    action_id = planned(site, proposer=proposer, state=ActionState.AWAITING_APPROVAL)
    assert site.client("carol").post(f"/api/v1/actions/{action_id}/approve").status_code == 403
    assert site.client("ada").post(f"/api/v1/actions/{action_id}/approve").json["state"] == "approved"


def test_a_token_proposes_under_its_owners_name(site):
    site.client().post("/api/v1/actions", json=BODY, headers=site.token("responder", owner="carol"))
    with site.store.reading() as session:
        (row,) = actions.page(session)
    assert row.proposer == "carol via ci"


def test_rejecting_ends_it_with_the_reason(site):
    action_id = planned(site, state=ActionState.AWAITING_APPROVAL)
    answer = site.client("carol").post(f"/api/v1/actions/{action_id}/reject", json={"reason": "not now"})
    assert answer.json["state"] == "refused"
    assert "not now" in answer.json["message"]


def test_lists_are_newest_first_in_pages_and_filtered(site, bob):
    made = [planned(site) for _ in range(5)]
    first = bob.get("/api/v1/actions?limit=3").json
    rest = bob.get("/api/v1/actions", query_string={"limit": 3, "cursor": first["next_cursor"]}).json
    seen = [row["id"] for row in first["items"] + rest["items"]]
    assert seen == sorted(made, reverse=True)
    assert bob.get("/api/v1/actions?state=succeeded").json["items"] == []
    assert len(bob.get("/api/v1/actions?target=demo/shop/Deployment/order").json["items"]) == 5
    assert bob.get("/api/v1/actions?target=demo/shop").json["parameter"] == "target"


def test_more_than_ten_a_minute_is_too_many(site):
    client = site.client("alice")
    answers = [client.post("/api/v1/actions", json=BODY).status_code for _ in range(11)]
    assert answers == [202] * 10 + [429]


def test_an_unknown_action_is_404(site, bob):
    assert bob.get("/api/v1/actions/nope").status_code == 404
    assert site.client("alice").post("/api/v1/actions/nope/cancel").status_code == 404


def test_the_audit_log_shows_it_in_pages(site, bob):
    client = site.client("alice")
    for _ in range(3):
        client.post("/api/v1/actions", json=BODY)
    first = bob.get("/api/v1/audit?limit=2").json
    rest = bob.get("/api/v1/audit", query_string={"limit": 2, "cursor": first["next_cursor"]}).json
    assert [row["seq"] for row in first["items"] + rest["items"]] == [3, 2, 1]
    assert bob.get("/api/v1/audit?who=nobody").json["items"] == []


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("actions", ["0001-01-01T00:00:00+23:59", "x"]),
        ("actions", ["2026-01-01T00:00:00+00:00", "\x00"]),
        ("audit", [2**63]),
        ("audit", [-(2**63)]),
        ("audit", [1.5]),
    ],
)
def test_a_cursor_of_the_right_form_with_impossible_parts_is_400(bob, path, key):
    answer = bob.get(f"/api/v1/{path}", query_string={"cursor": cursor.encode(key)})
    assert (answer.status_code, answer.json["parameter"]) == (400, "cursor")


@pytest.mark.parametrize(
    ("part", "name"),
    [("name", "../secrets/x"), ("name", "a\x00b"), ("namespace", "Shop"), ("namespace", "a b")],
)
def test_a_target_with_a_name_that_kubernetes_does_not_know_is_400(site, part, name):
    body = BODY | {"target": BODY["target"] | {part: name}}
    answer = site.client("alice").post("/api/v1/actions", json=body)
    assert (answer.status_code, answer.json["parameter"]) == (400, f"target.{part}")


def test_an_incident_may_hold_any_character(site):
    answer = site.client("alice").post("/api/v1/actions", json=BODY | {"incident": "INC\x00"})
    assert (answer.status_code, answer.json["incident"]) == (202, "INC\ufffd")
