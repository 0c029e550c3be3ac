from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app import clock
from app.model.action import (
    ActionState,
    Applied,
    Check,
    DiffLine,
    Forecast,
    Judgement,
    Plan,
    Progress,
    Target,
    Verdict,
)
from app.pages import actions as page_of
from app.store import actions
from tests.pages.conftest import reader_of
from tests.support.acting_site import NEW, seed_checkout, writable
from tests.support.fake_kubernetes_writes import FakeKubernetesWrites
from tests.support.html import Page
from tests.support.web import Site, make_site

S = ActionState
CHECKOUT = Target("demo", "shop", "Deployment", "checkout")
HOSTILE = '<img src=x onerror=alert(1)>"\u202e'


@dataclass
class Scene:
    site: Site
    cluster: FakeKubernetesWrites

    def get(self, path: str, **more: Any) -> Page:
        return reader_of(self.site)(path, **more)

    def post(self, path: str, as_: str = "alice", **fields: str) -> tuple[int, str, Page]:
        answer = self.site.client(as_).post(path, data=fields, headers={"Accept": "text/html"})
        return answer.status_code, answer.headers.get("Location", ""), Page(answer.get_data(as_text=True))

    def plan(self, replicas: int = 4, as_: str = "alice") -> str:
        """The address of a new plan."""
        status, place, page = self.post("/actions", as_=as_, **form(replicas))
        assert status == 303, page.html
        return place

    def make(self, state: ActionState, **columns: Any) -> str:
        """A row in a state; the address of its page."""
        with self.site.store.begin() as session:
            row, _ = actions.create(
                session,
                kind="scale",
                target=CHECKOUT,
                params={"replicas": 6},
                reason="the queue grows",
                proposer="alice",
            )
            if state is not S.PLANNING:
                actions.advance(session, row.id, [S.PLANNING], state, **columns)
        return f"/actions/{row.id}"


def form(replicas: object, **over: str) -> dict[str, str]:
    fields = {
        "kind": "scale",
        "cluster": "demo",
        "namespace": "shop",
        "workload": "Deployment",
        "name": "checkout",
    }
    return fields | {"replicas": str(replicas), "reason": "the queue grows"} | over


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with writable(tmp_path) as (cluster, clusters):
        site = make_site(tmp_path, blueprints=None, own_templates=False, clusters=clusters)
        seed_checkout(site.store)
        yield Scene(site, cluster)
        site.store.dispose()


def make_plan(**over: Any) -> Plan:
    fields: dict[str, Any] = {
        "summary": "Scale checkout from 3 to 6 replicas",
        "diff": (DiffLine("spec.replicas", "3", "6"),),
        "guardrails": (
            Check("permission", Verdict.PASS, "the account may update deployments/scale"),
            Check("autoscaler", Verdict.WARN, "an autoscaler will take it back"),
        ),
        "forecast": (Forecast("spec.replicas", sticks=False, by="HPA checkout", why="it sets replicas"),),
        "capacity": {"rps_per_pod_now": 40.0, "rps_per_pod_after": 20.0},
        "disruption": {"min_ready": 3},
        "seen": {"replicas": 3},
        "plan_hash": "abc",
    }
    return Plan(**(fields | over))


def planned(**over: Any) -> dict[str, Any]:
    plan = make_plan(**over)
    return {"plan": plan, "plan_hash": plan.plan_hash, "expires_at": clock.now() + timedelta(minutes=9)}


def sent() -> dict[str, Any]:
    now = clock.now()
    return planned() | {"executor": "alice", "sent_at": now, "applied": Applied(now, 2, "8")}


def judged(state: ActionState, message: str) -> dict[str, Any]:
    verdict = Judgement(
        state, message, {"error_ratio": 0.12, "p95_seconds": 1.7}, {"error_ratio": 0.001, "p95_seconds": None}
    )
    return sent() | {"judgement": verdict, "message": message, "finished_at": clock.now()}


# State -> columns of the row, words on the page, what is offered to a responder, what must not be.
STATES: dict[ActionState, tuple[dict[str, Any], list[str], list[str]]] = {
    S.PLANNING: ({}, ["Checking and planning"], ["Cancel"]),
    S.PLANNED: (
        planned(),
        ["Nothing is changed yet", "Will it stick?", "plan ends at"],
        ["Cancel", "Scale checkout 3 to 6"],
    ),
    S.AWAITING_APPROVAL: (
        planned(),
        ["Waits for a second person", "waits for a second person with the role"],
        ["Withdraw"],
    ),
    S.APPROVED: (
        planned() | {"approver": "carol"},
        ["Approved, nothing is changed yet", "approved by carol"],
        ["Cancel", "Scale checkout 3 to 6"],
    ),
    S.EXECUTING: (sent(), ["Being sent to the cluster", "confirmed by alice, sent at"], []),
    S.VERIFYING: (
        sent() | {"progress": Progress(False, False, "waiting for checkout-2-5", 4, 6)},
        ["Watching", "4 of 6 pods ready", "waiting for checkout-2-5"],
        [],
    ),
    S.SUCCEEDED: (
        judged(S.SUCCEEDED, "recovered in 2 m 10 s"),
        ["Succeeded", "recovered in 2 m 10 s", "errors 12 % 0.1 %", "p95 1.7 s no data"],
        ["Scale back…", "New plan…"],
    ),
    S.FAILED: (
        judged(S.FAILED, "worse: errors rose"),
        ["Failed", "worse: errors rose"],
        ["Scale back…", "New plan…"],
    ),
    S.INCONCLUSIVE: (
        judged(S.INCONCLUSIVE, "too little traffic (14 requests)"),
        ["Cannot tell", "14 requests"],
        ["Scale back…", "New plan…"],
    ),
    S.REVERTED: (judged(S.REVERTED, "somebody took it back"), ["Taken back"], ["New plan…"]),
    S.REFUSED: (
        {"message": "the namespace is protected"},
        ["Refused, nothing was changed: The namespace is protected"],
        ["New plan…"],
    ),
    S.CANCELLED: (
        planned() | {"message": "cancelled by alice"},
        ["Cancelled, nothing was changed: Cancelled by alice"],
        ["New plan…"],
    ),
    S.EXPIRED: (
        planned() | {"message": "nobody confirmed it in time"},
        ["Expired, nothing was changed"],
        ["New plan…"],
    ),
    S.UNKNOWN: (
        sent() | {"message": "no answer in 30 s"},
        ["The cluster did not answer; the object is being read again"],
        [],
    ),
}


def offered(page: Page) -> list[str]:
    inside = page.html.partition('class="action-form"')[2].partition("</section>")[0]
    part = Page(f"<div>{inside.partition('>')[2]}") if inside else Page("")
    return [
        " ".join(one.text.split())
        for one in part.elements
        if one.tag in ("a", "button") and "button" in one.attributes.get("class", "")
    ]


def test_every_state_is_described():
    assert set(STATES) == set(ActionState) == set(page_of.STATES)


@pytest.mark.parametrize("state", list(ActionState), ids=str)
def test_a_state_says_what_it_is_and_offers_only_what_is_possible(scene: Scene, state):
    columns, words, buttons = STATES[state]
    page = scene.get(scene.make(state, **columns), as_="alice")
    said = page.text("main")
    for one in words:
        assert one in said
    assert offered(page) == buttons
    assert len(page.all("h1")) == 1
    step = page_of.STATES[state][0]
    assert page.text("li", aria_current="step").startswith(str(step + 1))


@pytest.mark.parametrize("state", [S.SUCCEEDED, S.INCONCLUSIVE, S.FAILED, S.UNKNOWN, S.VERIFYING], ids=str)
def test_only_a_success_has_the_mark_of_health(scene: Scene, state):
    page = scene.get(scene.make(state, **STATES[state][0]))
    line = page.html.partition('class="state-line"')[2].partition("</p>")[0]
    assert ("#h-ok" in line) is (state is S.SUCCEEDED)


# What the cluster or a guardrail says against it -> what a person must be able to read.
REFUSALS = [
    "the account may not update deployments/scale in shop: add verb update, resource deployments/scale to its Role",
    'admission webhook "policy.example" denied the request: <b>replicas</b> above 5 need a ticket',
    "exceeded quota: compute, requested: pods=6, used: pods=3, limited: pods=5",
    "spec.replicas: Invalid value: must be greater than or equal to 0",
    "the cluster asks to wait 30 s (429)",
    "checkout-2-9: FailedCreate: quota",
    "another action is in flight: Scale checkout 3 to 4, by carol",
]


@pytest.mark.parametrize("words", REFUSALS)
def test_a_refusal_is_told_word_for_word_and_inert(scene: Scene, words):
    checks = (Check("quota", Verdict.REFUSE, words), *make_plan().guardrails)
    page = scene.get(scene.make(S.REFUSED, message=words, plan=make_plan(guardrails=checks)), as_="alice")
    assert words[1:] in page.text("p", class_="state-line")
    assert not page.all("b")
    order = [one.attributes["class"] for one in page.all("li", class_="check")]
    assert order == ["check check-refuse", "check check-warn", "check check-pass"]


def test_a_plan_shows_its_checks_its_diff_and_its_hash(scene: Scene):
    place = scene.plan(6)
    page = scene.get(place, as_="alice")
    assert page.text("h1") == "Scale checkout 3 to 6"
    assert page.text("td", class_="diff-del") == "− 3"
    assert page.text("td", class_="diff-add") == "+ 6"
    assert len(page.all("li", class_="check")) >= 5
    assert len(page.one("input", name="plan_hash").attributes["value"]) >= 16
    assert scene.cluster.replicas == 3


def test_a_confirmed_plan_is_written_once_and_stands_in_the_audit_log(scene: Scene):
    place = scene.plan(6)
    digest = scene.get(place, as_="alice").one("input", name="plan_hash").attributes["value"]
    assert scene.post(f"{place}/execute", plan_hash=digest)[:2] == (303, place)
    assert scene.cluster.replicas == 6
    assert scene.post(f"{place}/execute", plan_hash=digest)[0] == 409
    assert scene.cluster.replicas == 6
    log = scene.get("/audit")
    assert re.fullmatch(r"[3-9] entries in the audit log\.", log.text("h1"))
    assert "scale.propose" in log.text("main")


def test_what_changed_between_plan_and_confirmation_is_reviewed_again(scene: Scene):
    place = scene.plan(6)
    digest = scene.get(place, as_="alice").one("input", name="plan_hash").attributes["value"]
    scene.cluster.set_replicas(5, "kubectl")
    status, _, page = scene.post(f"{place}/execute", plan_hash=digest)
    assert status == 409
    assert "Changed since you looked: spec.replicas 5, you saw spec.replicas 3: review again" in page.text(
        "p", class_="state-line"
    )
    assert scene.cluster.replicas == 5
    assert "Review again…" in offered(page)
    again = next(one for one in page.all("a") if "Review again" in one.text).attributes["href"]
    fresh = scene.get(again, as_="alice")
    assert fresh.one("input", id="field-reason").attributes["value"] == "the queue grows"
    assert fresh.one("input", id="field-replicas").attributes["value"] == "6"


def test_a_plan_of_another_hash_is_not_carried_out(scene: Scene):
    place = scene.plan(6)
    status, _, page = scene.post(f"{place}/execute", plan_hash="0" * 32)
    assert status == 409
    assert "this is not the plan that was shown: review again" in page.one("p", role="alert").text.casefold()
    assert scene.cluster.replicas == 3


def test_a_big_step_asks_for_the_typed_name(scene: Scene):
    place = scene.plan(7)
    digest = scene.get(place, as_="alice").one("input", name="plan_hash").attributes["value"]
    status, _, page = scene.post(f"{place}/execute", plan_hash=digest, confirm="order")
    assert status == 422
    assert page.one("input", name="confirm").attributes["aria-invalid"] == "true"
    assert scene.cluster.replicas == 3
    assert scene.post(f"{place}/execute", plan_hash=digest, confirm="checkout")[0] == 303
    assert scene.cluster.replicas == 7


def test_zero_replicas_wait_for_somebody_else(scene: Scene):
    place = scene.plan(0)
    page = scene.get(place, as_="alice")
    assert offered(page) == ["Cancel", "Ask for approval"]
    digest = page.one("input", name="plan_hash").attributes["value"]
    assert scene.post(f"{place}/execute", plan_hash=digest)[0] == 303
    assert offered(scene.get(place, as_="alice")) == ["Withdraw"]
    assert offered(scene.get(place, as_="carol")) == ["Reject", "Approve"]
    assert scene.get(place, as_="bob").one("button", aria_disabled="true").text.startswith("Approve")
    assert scene.post(f"{place}/approve", plan_hash=digest)[0] in (403, 422)
    assert scene.post(f"{place}/approve", as_="carol", plan_hash=digest)[0] == 303
    assert "Approved" in scene.get(place).text("p", class_="state-line")
    assert scene.cluster.replicas == 3


def test_a_withdrawn_plan_can_no_longer_be_confirmed(scene: Scene):
    place = scene.plan(6)
    digest = scene.get(place, as_="alice").one("input", name="plan_hash").attributes["value"]
    assert scene.post(f"{place}/cancel")[0] == 303
    assert scene.post(f"{place}/execute", plan_hash=digest)[0] == 409
    assert scene.cluster.replicas == 3


@pytest.mark.parametrize("path", ["execute", "cancel"])
def test_a_viewer_sees_the_button_but_cannot_press_it(scene: Scene, path):
    place = scene.plan(6)
    page = scene.get(place, as_="bob")
    button = page.one("button", aria_disabled="true")
    assert button.text == "Scale checkout 3 to 6: your role may look but not act; a responder can"
    assert scene.post(f"{place}/{path}", as_="bob", plan_hash="x")[0] == 403
    assert scene.cluster.replicas == 3


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"replicas": ""}, "replicas"),
        ({"replicas": "-1"}, "replicas"),
        ({"replicas": "many"}, "replicas"),
        ({"reason": "   "}, "reason"),
    ],
)
def test_a_refused_form_keeps_what_was_typed_and_names_the_fault(scene: Scene, fields, fault):
    status, _, page = scene.post("/actions", **(form(4) | fields))
    assert status == 422
    assert page.one("input", id=f"field-{fault}").attributes["aria-invalid"] == "true"
    kept = "the queue grows" if fault == "replicas" else "4"
    other = "field-reason" if fault == "replicas" else "field-replicas"
    assert page.one("input", id=other).attributes["value"] == kept


def test_the_form_says_what_is_there_now(scene: Scene):
    page = scene.get(NEW, as_="alice")
    assert "Deployment checkout has 3 replicas, 3 ready." in page.text("section", id="action-new")
    assert page.one("a", data_cancel="").attributes["href"] == "/services/demo/shop/checkout"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (NEW.replace("name=checkout", "name=nobody"), 404),
        (NEW.replace("workload=Deployment", "workload=DaemonSet"), 400),
        ("/actions/new", 400),
        ("/actions/no-such", 404),
        ("/fragments/action?action_id=no-such", 404),
        ("/actions?before=yesterday~x", 400),
        ("/audit?before=-1", 400),
    ],
)
def test_what_is_not_there_or_not_right_is_said(scene: Scene, path, status):
    page = scene.get(path, as_="alice", status=status) if not path.startswith("/frag") else None
    answer = scene.site.client("alice").get(path)
    assert answer.status_code == status
    assert page is None or "nobody" not in page.text("main")


def test_the_list_has_what_runs_first_and_says_how_much(scene: Scene):
    scene.make(S.SUCCEEDED, **judged(S.SUCCEEDED, "recovered in 2 m"))
    with scene.site.store.begin() as session:
        other = replace(CHECKOUT, name="order")
        row, _ = actions.create(
            session, kind="scale", target=other, params={"replicas": 2}, reason="r", proposer="bob"
        )
        actions.advance(session, row.id, [S.PLANNING], S.VERIFYING, **sent())
    page = scene.get("/actions")
    assert page.text("h1") == "1 running."
    rows = [one.attributes["data-word"] for one in page.all("tr", data_row="")]
    assert rows == ["verifying", "succeeded"]


def test_no_actions_is_said_with_the_way_to_one(scene: Scene):
    page = scene.get("/actions")
    assert page.text("h1") == "Nothing is running."
    assert "No actions yet." in page.text("div", class_="empty")
    assert scene.get("/audit").text("div", class_="empty") == "The log is empty."


def test_hostile_reasons_and_answers_stay_text(scene: Scene):
    place = scene.make(
        S.REFUSED,
        message=HOSTILE,
        plan=make_plan(warnings=(HOSTILE,), diff=(DiffLine(HOSTILE, HOSTILE, HOSTILE * 900),)),
    )
    for path in (place, "/actions"):
        page = scene.get(path)
        assert not page.all("img")
        assert "\u202e" not in page.text("main")
        assert max(len(one.text) for one in page.elements if one.tag in ("td", "code")) < 1000


def test_an_action_fragment_has_the_same_bytes_until_something_happens(scene: Scene):
    place = scene.plan(6)
    client = scene.site.client("alice")
    address = f"/fragments/action?action_id={place.rpartition('/')[2]}"
    first = client.get(address)
    assert client.get(address, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    scene.post(f"{place}/cancel")
    scene.site.parts.reader.forget()
    assert client.get(address, headers={"If-None-Match": first.headers["ETag"]}).status_code == 200
