from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from app.clock import frozen_at
from app.errors import ActionConflict, BadInput
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
from app.store import actions
from app.store.engine import Store
from tests.support.factories import NOON

ORDER = Target("demo", "shop", "Deployment", "order")
PLANNING, PLANNED, EXECUTING = ActionState.PLANNING, ActionState.PLANNED, ActionState.EXECUTING


def propose(session, target: Target = ORDER, **over) -> actions.ActionRow:
    fields = {
        "kind": "scale",
        "target": target,
        "params": {"replicas": 6},
        "reason": "load",
        "proposer": "alice",
    }
    return actions.create(session, **fields | over)[0]


def test_an_action_comes_back_with_everything_known_about_it(store: Store):
    plan = Plan(
        "scale order from 3 to 6",
        (DiffLine("spec.replicas", "3", "6"),),
        ("warned",),
        (Check("quota", Verdict.WARN, "tight"),),
        (Forecast("spec.replicas", False, "hpa", "taken back"),),
        {"per_pod": 3.5},
        {"min_ready": 3},
        seen={"uid": "u"},
        write={"replicas": 6},
        plan_hash="sha256:1",
        expires_at=NOON,
    )
    documents = {
        "plan": plan,
        "applied": Applied(NOON, 4, "77", {"a": 1}),
        "judgement": Judgement(ActionState.SUCCEEDED, "recovered", {"p95": 1.0}, {"p95": None}),
        "progress": Progress(False, False, "waiting", 3, 6),
    }
    with store.begin() as session:
        row = propose(session, incident="INC-1")
        assert (row.state, row.target, row.params) == (PLANNING, ORDER, {"replicas": 6})
        assert actions.advance(
            session, row.id, [PLANNING], PLANNED, message="look", sent_at=NOON, **documents
        )
        found = actions.get(session, row.id)
    assert {name: getattr(found, name) for name in documents} == documents
    assert (found.state, found.message, found.sent_at, found.incident) == (PLANNED, "look", NOON, "INC-1")


def test_only_one_of_many_advances_wins(store: Store):
    with store.begin() as session:
        action = propose(session).id
    won = []

    def advance() -> None:
        with store.begin() as session:
            won.append(actions.advance(session, action, [PLANNING], EXECUTING))

    threads = [threading.Thread(target=advance) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False, False, False, False, True]


def test_a_state_is_left_only_from_where_it_may_be_left(store: Store):
    with store.begin() as session:
        action = propose(session).id
        assert not actions.advance(session, action, [PLANNED], EXECUTING)
        assert not actions.advance(session, "nobody", [PLANNING], EXECUTING)
        assert actions.get(session, action).state is PLANNING


@pytest.mark.parametrize("state", [EXECUTING, ActionState.VERIFYING, ActionState.UNKNOWN])
def test_a_workload_has_one_action_in_flight(store: Store, state: ActionState):
    with store.begin() as session:
        first, second = propose(session), propose(session)
        other = propose(session, Target("demo", "shop", "Deployment", "cart"))
        assert actions.advance(session, first.id, [PLANNING], state)
        with pytest.raises(ActionConflict, match="in flight"):
            actions.advance(session, second.id, [PLANNING], EXECUTING)
        assert actions.advance(session, other.id, [PLANNING], EXECUTING)
        assert actions.in_flight(session, ORDER).id == first.id
        assert actions.advance(session, first.id, [state], ActionState.SUCCEEDED)
        assert actions.in_flight(session, ORDER) is None
        assert actions.advance(session, second.id, [PLANNING], EXECUTING)


def test_the_same_key_of_the_same_person_is_the_same_action(store: Store):
    with store.begin() as session:
        first = propose(session, idempotency_key="k")
        assert propose(session, idempotency_key="k", reason="in other words") == first
        assert propose(session, proposer="bob", idempotency_key="k").id != first.id
        assert propose(session).id != propose(session).id


@pytest.mark.parametrize(
    "over", [{"params": {"replicas": 7}}, {"target": replace(ORDER, name="cart")}, {"kind": "restart"}]
)
def test_a_key_used_for_another_action_is_refused(store: Store, over: dict[str, object]):
    with store.begin() as session:
        propose(session, idempotency_key="k")
        with pytest.raises(BadInput, match="another action"):
            propose(session, idempotency_key="k", **over)


def test_pages_go_from_new_to_old_without_loss(store: Store):
    with store.begin() as session:
        made = []
        for i in range(7):
            with frozen_at(NOON + timedelta(seconds=i // 2)):
                made.append(propose(session).id)
        found = []
        before = None
        while rows := actions.page(session, limit=3, before=before):
            found += [row.id for row in rows]
            before = (rows[-1].created_at, rows[-1].id)
        assert sorted(found) == sorted(made)
        assert len(actions.page(session, states=[PLANNED])) == 0
        assert len(actions.page(session, target=ORDER)) == 7
        assert [row.id for row in actions.in_state(session, PLANNING)] == sorted(made)
