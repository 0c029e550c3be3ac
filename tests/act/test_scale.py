from __future__ import annotations

from dataclasses import replace

import pytest

from app import act, clock
from app.errors import ActionConflict, ActionRefused, BadInput, NotAllowed
from app.model.action import ActionState, Verdict
from app.model.fleet import HealthStatus
from tests.support.acting import ALICE, BOB, CHECKOUT, ERIN, Acting
from tests.support.fake_kubernetes_writes import body_of

S = ActionState


def test_a_scale_that_helps_goes_from_proposal_to_recovered(scene: Acting):
    scene.fleet(HealthStatus.DEGRADED, errors=0.04, p95=1.9)
    row = scene.propose(4)
    assert (row.state, row.plan.summary) == (S.PLANNED, "Scale checkout from 3 to 4 replicas")
    assert scene.cluster.replicas == 3
    row = scene.at(10).execute(row)
    assert row.state is S.VERIFYING
    assert scene.cluster.replicas == 4
    assert "waiting: the controller has not seen" in scene.at(12).follow(row).message
    scene.cluster.roll_out()
    row = scene.at(20).follow(row)
    assert row.rolled_out_at is not None
    scene.at(40).fleet(HealthStatus.DEGRADED, errors=0.02, p95=1.2)
    row = scene.follow(row)
    assert (row.state, row.message) == (S.VERIFYING, "waiting for the window to clear")
    scene.at(85).fleet(HealthStatus.HEALTHY, errors=0.001, p95=0.3)
    row = scene.at(86).follow(row)
    assert row.state is S.SUCCEEDED
    assert (
        row.message == "recovered within 1 m 5 s of the rollout: p95 1.9 s -> 300 ms, errors 4.0 % -> 0.1 %"
    )
    assert row.judgement.before["p95_seconds"] == 1.9
    assert row.judgement.after["p95_seconds"] == 0.3
    assert scene.audit() == [
        ("alice", "scale.propose", "planning"),
        ("quarterdeck", "scale.plan", "planned"),
        ("alice", "scale.execute", "executing"),
        ("alice", "scale.send", "intent"),
        ("quarterdeck", "scale.outcome", "verifying"),
        ("quarterdeck", "scale.rolled-out", "verifying"),
        ("quarterdeck", "scale.verdict", "succeeded"),
    ]


def test_the_write_names_itself_and_carries_what_was_seen(scene: Acting):
    row = scene.execute(scene.propose(4))
    (write,) = scene.cluster.writes
    assert write.params["fieldManager"] == "quarterdeck"
    assert row.id in write.headers["user-agent"]
    assert row.applied.generation == scene.cluster.live["metadata"]["generation"]
    assert scene.cluster.live["metadata"]["managedFields"][-1]["manager"] == "quarterdeck"


def test_planning_writes_nothing_but_a_dry_run(scene: Acting):
    scene.cluster.warnings = ["policy: think twice"]
    row = scene.propose(4)
    assert scene.cluster.writes == []
    assert [r.params["dryRun"] for r in scene.cluster.http.requests if r.method == "PUT"] == ["All"]
    assert row.plan.warnings == ("policy: think twice",)
    assert row.plan.diff[0].before == "3"
    assert row.plan.diff[0].after == "4"
    assert row.plan_hash.startswith("sha256:")
    assert row.plan.disruption == {"min_ready": 3, "of": 4}
    assert row.plan.capacity["rps_per_pod_now"] == pytest.approx(10 / 3)
    assert row.plan.capacity["rps_per_pod_after"] == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("replicas", "confirmation", "approval"),
    [
        (4, "none", False),
        (6, "none", False),
        (7, "name", False),
        (2, "name", False),
        (1, "name", False),
        (0, "second_person", True),
    ],
)
def test_the_size_of_the_step_decides_how_it_is_confirmed(scene: Acting, replicas, confirmation, approval):
    plan = scene.propose(replicas).plan
    assert (plan.confirmation, plan.needs_approval) == (confirmation, approval)


def test_a_big_step_without_the_typed_name_is_refused_and_may_be_tried_again(scene: Acting):
    row = scene.propose(7)
    for typed in (None, "", "order"):
        with pytest.raises(ActionRefused, match="type the name"):
            scene.execute(row, confirm=typed)
    assert scene.cluster.replicas == 3
    assert scene.execute(row, confirm="checkout").state is S.VERIFYING


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"replicas": -1},
        {"replicas": 1_001},
        {"replicas": "4"},
        {"replicas": True},
        {"replicas": 4, "x": 1},
    ],
)
def test_nonsense_is_bad_input_and_makes_no_action(scene: Acting, params):
    with pytest.raises(BadInput):
        scene.propose(params=params)
    assert scene.audit() == []


def test_only_known_kinds_clusters_and_reasons_are_accepted(scene: Acting):
    from dataclasses import replace

    for over in (
        {"kind": "explode"},
        {"target": replace(CHECKOUT, cluster="other")},
        {"target": replace(CHECKOUT, kind="DaemonSet")},
        {"reason": "  "},
    ):
        with pytest.raises(BadInput):
            scene.propose(**over)


@pytest.mark.parametrize("name", ["../../secrets", "a/b", "a b", "checkout?x=1", ""])
def test_a_hostile_name_never_becomes_a_path(scene: Acting, name):
    with pytest.raises(BadInput):
        scene.propose(target=replace(CHECKOUT, name=name))
    assert not scene.cluster.http.requests


def test_who_may_not_act_can_neither_propose_nor_execute_nor_cancel(scene: Acting):
    with pytest.raises(NotAllowed):
        scene.propose(who=BOB)
    row = scene.propose()
    with pytest.raises(NotAllowed):
        scene.execute(row, who=BOB)
    with pytest.raises(NotAllowed):
        scene.does("cancel", row, BOB)


def test_zero_replicas_need_a_second_person_who_is_not_the_proposer(scene: Acting):
    row = scene.propose(0, who=ERIN)
    row = scene.execute(row, who=ERIN)
    assert row.state is S.AWAITING_APPROVAL
    assert scene.cluster.replicas == 3
    with pytest.raises(NotAllowed, match="second person"):
        scene.does("approve", row, ERIN)
    with pytest.raises(NotAllowed, match="may not approve"):
        scene.does("approve", row, ALICE)
    from tests.support.acting import Person

    dora = Person("dora", ERIN.rights)
    row = scene.does("approve", row, dora)
    assert (row.state, row.approver) == (S.APPROVED, "dora")
    assert scene.execute(row, who=ERIN).state is S.VERIFYING
    assert scene.cluster.replicas == 0


def test_a_second_person_may_say_no(scene: Acting):
    row = scene.execute(scene.propose(0))
    row = scene.does("reject", row, ERIN, "not on a Friday")
    assert (row.state, row.message) == (S.REFUSED, "rejected by erin: not on a Friday")
    with pytest.raises(ActionConflict):
        scene.execute(row)


def test_another_hash_than_the_one_shown_is_refused(scene: Acting):
    row = scene.propose()
    with pytest.raises(ActionConflict, match="not the plan"):
        scene.execute(row, plan_hash="sha256:other")
    assert scene.cluster.writes == []


def test_a_plan_expires(scene: Acting):
    row = scene.propose()
    with pytest.raises(ActionConflict, match="expired"):
        scene.at(601).execute(row)
    assert scene.follow(row).state is S.EXPIRED
    assert scene.audit()[-1] == ("quarterdeck", "scale.expire", "expired")


def test_what_is_cancelled_is_not_executed(scene: Acting):
    row = scene.does("cancel", scene.propose(), ALICE)
    assert row.state is S.CANCELLED
    with pytest.raises(ActionConflict, match="cancelled"):
        scene.execute(row)
    row = scene.execute(scene.propose())
    with pytest.raises(ActionConflict, match="too late to cancel"):
        scene.does("cancel", row, ALICE)


def test_a_number_changed_since_the_plan_means_review_again(scene: Acting):
    row = scene.propose()
    scene.cluster.set_replicas(5, "kubectl")
    with pytest.raises(ActionConflict, match=r"changed since you looked.*review again"):
        scene.execute(row)
    assert scene.cluster.replicas == 5
    assert scene.cluster.writes == []
    assert scene.follow(row).state is S.REFUSED


def test_a_replaced_object_means_review_again(scene: Acting):
    row = scene.propose()
    scene.cluster.replace()
    with pytest.raises(ActionConflict, match="replaced"):
        scene.execute(row)
    assert scene.cluster.writes == []


def test_status_that_only_moved_is_no_reason_to_stop(scene: Acting):
    row = scene.propose()
    scene.cluster.touch()
    scene.cluster.before_write = [scene.cluster.touch]
    assert scene.execute(row).state is S.VERIFYING
    assert len(scene.cluster.writes) == 2
    assert scene.cluster.replicas == 4


def test_somebody_who_scales_between_check_and_write_is_not_overwritten(scene: Acting):
    row = scene.propose()
    scene.cluster.before_write = [lambda: scene.cluster.set_replicas(9, "kubectl")]
    with pytest.raises(ActionConflict, match="replicas are 9, you saw 3"):
        scene.execute(row)
    assert scene.cluster.replicas == 9
    assert scene.follow(row).state is S.REFUSED


def test_a_workload_has_one_action_in_flight(scene: Acting):
    first, second = scene.propose(4), scene.propose(5)
    scene.execute(first)
    with pytest.raises(ActionConflict, match="in flight"):
        scene.execute(second)
    refused = scene.propose(6)
    assert refused.state is S.REFUSED
    assert "in flight" in refused.message


def test_the_same_key_gives_the_same_action(scene: Acting):
    first = scene.propose(idempotency_key="k")
    assert scene.propose(idempotency_key="k").id == first.id


def test_without_an_account_that_may_write_the_plan_waits_for_the_process_that_has_one(scene: Acting):
    full, scene.config = scene.config, scene.without_account()
    row = scene.propose()
    assert row.state is S.PLANNING
    scene.config = full
    row = scene.follow(row)
    assert row.state is S.PLANNED
    scene.config = scene.without_account()
    row = scene.execute(row)
    assert (row.state, row.sent_at) == (S.EXECUTING, None)
    scene.config = full
    assert scene.follow(row).state is S.VERIFYING
    assert len(scene.cluster.writes) == 1


def test_a_confirmed_plan_that_nobody_could_send_in_time_is_not_sent_late(scene: Acting):
    row = scene.propose()
    full, scene.config = scene.config, scene.without_account()
    row = scene.execute(row)
    scene.config = full
    row = scene.at(3_600).follow(row)
    assert row.state is S.REFUSED
    assert "expired" in row.message
    assert scene.cluster.writes == []


def test_when_nobody_has_such_an_account_it_is_refused_with_the_setting_to_give(scene: Acting):
    scene.config = scene.without_account()
    row = scene.follow(scene.propose())
    assert row.state is S.REFUSED
    assert "clusters[].kubernetes.act" in row.message


@pytest.mark.parametrize(
    ("when", "recording", "state", "words"),
    [
        (
            "PUT",
            "errors/403_admission_policy_scale_dryrun",
            S.REFUSED,
            "no more than 20 replicas without a change ticket",
        ),
        (
            "PUT",
            "scale/err403_viewer_dryrun",
            S.REFUSED,
            "viewer may not patch deployments/scale: a Role with",
        ),
        ("GET", "errors/401_bad_token", S.REFUSED, "renew it"),
        ("GET", "scale/err404", S.REFUSED, "gone"),
        ("GET", "outage/etcd_stalled_patch_timeout5s", S.REFUSED, "nothing was written"),
        ("PUT", "errors/422_unknown_field_strict", S.REFUSED, "does not accept"),
        ("PUT", "errors/429_priority_and_fairness", S.REFUSED, "overloaded"),
    ],
)
def test_a_plan_the_cluster_refuses_says_why(scene: Acting, when, recording, state, words):
    scene.cluster.says(when, recording)
    row = scene.propose()
    assert row.state is state
    assert words in row.message
    assert len(row.message) < 500
    assert "{" not in row.message


def test_missing_rights_are_named_by_us(scene: Acting):
    scene.cluster.allowed = False
    row = scene.propose()
    assert row.state is S.REFUSED
    assert "resources: [deployments/scale], verbs: [update]" in row.message
    assert [r for r in scene.cluster.http.requests if r.method == "PUT"] == []


def test_what_is_being_deleted_or_owned_or_already_so_is_refused(scene: Acting):
    scene.cluster.live["metadata"]["deletionTimestamp"] = "2026-11-23T13:33:40Z"
    scene.cluster.live["metadata"]["ownerReferences"] = [{"kind": "Rollout", "name": "r", "controller": True}]
    row = scene.propose(3)
    assert row.state is S.REFUSED
    for words in ("being deleted", "controlled by Rollout r", "nothing to do"):
        assert words in row.message


def test_a_paused_rollout_is_only_a_warning(scene: Acting):
    scene.cluster.live["spec"]["paused"] = True
    checks = {check.rule: check.verdict for check in scene.propose().plan.guardrails}
    assert checks["paused"] is Verdict.WARN
    assert checks["deleting"] is Verdict.PASS


def test_a_quota_without_room_refuses_what_the_cluster_would_accept_and_never_start(scene: Acting):
    scene.cluster.quotas = body_of("scale/resourcequotas")["items"]
    row = scene.propose(4)
    assert row.state is S.REFUSED
    assert "pods 2 of 2 used" in row.message


def test_an_autoscaler_is_forecast_to_take_it_back_and_the_alternative_named(scene: Acting):
    hpa = body_of("hpa/after_scale_up_hpa")
    hpa["spec"]["scaleTargetRef"]["name"] = "checkout"
    scene.cluster.autoscalers = [hpa]
    plan = scene.propose(4).plan
    (forecast,) = plan.forecast
    assert (forecast.sticks, forecast.by) == (False, f"HPA {hpa['metadata']['name']}")
    assert "15 s to 5 min" in forecast.why
    assert "raise its minReplicas to 4" in forecast.why


def test_an_answer_that_never_came_is_unknown_and_settled_by_reading_not_by_repeating(scene: Acting):
    scene.cluster.lose_answers = 1
    row = scene.execute(scene.propose())
    assert row.state is S.UNKNOWN
    row = scene.at(3).follow(row)
    assert (row.state, row.message) == (S.VERIFYING, "the write took effect although no answer came")
    assert len(scene.cluster.writes) == 1
    assert ("quarterdeck", "scale.reconcile", "verifying") in scene.audit()


def test_a_lost_write_that_took_no_effect_ends_failed_after_its_time(scene: Acting):
    scene.cluster.says(
        "checkout/scale?{'fieldManager': 'quarterdeck', 'fieldValidation': 'Strict'}",  # not the dry run
        "outage/etcd_stalled_patch_timeout5s",
    )
    row = scene.execute(scene.propose())
    assert row.state is S.UNKNOWN
    assert scene.at(30).follow(row).state is S.UNKNOWN
    row = scene.at(61).follow(row)
    assert (row.state, row.message) == (S.FAILED, "the write did not take effect: nothing was changed")
    assert scene.cluster.replicas == 3
    assert len(scene.cluster.writes) == 1


def test_an_unknown_outcome_stays_unknown_while_the_cluster_cannot_be_asked(scene: Acting):
    scene.cluster.lose_answers = 1
    row = scene.execute(scene.propose())
    scene.cluster.http.down()
    assert scene.at(100).follow(row).state is S.UNKNOWN
    scene.cluster.http.up()
    assert scene.at(110).follow(row).state is S.VERIFYING


def test_a_sender_that_died_leaves_unknown_and_is_reconciled(scene: Acting, tmp_path):
    from app.act.record import claim

    full, scene.config = scene.config, scene.without_account()
    row = scene.propose()
    scene.config = full
    row = scene.follow(row)
    scene.config = scene.without_account()
    row = scene.execute(row)
    scene.config = full
    with clock.frozen_at(scene.now):
        assert claim(scene.store, scene.config, row)
        assert not claim(scene.store, scene.config, row)
    assert scene.at(10).follow(row).state is S.EXECUTING
    assert scene.at(31).follow(row).state is S.UNKNOWN
    assert scene.at(70).follow(row).state is S.FAILED
    assert scene.cluster.writes == []


def run(scene: Acting) -> object:
    row = scene.execute(scene.propose())
    scene.cluster.roll_out()
    return scene.at(10).follow(row)


def test_what_somebody_takes_back_is_reverted_and_says_by_whom(scene: Acting):
    row = run(scene)
    scene.cluster.set_replicas(6, "kube-controller-manager")
    row = scene.at(15).follow(row)
    assert row.state is S.REVERTED
    assert row.message == "taken back: the autoscaler (kube-controller-manager) set 6 replicas instead of 4"


def test_pods_that_cannot_be_created_fail_the_action_early(scene: Acting):
    row = scene.execute(scene.propose())
    scene.cluster.live["status"] = body_of("scale/quota_exceeded_after")["status"]
    scene.cluster.live["status"]["observedGeneration"] = scene.cluster.live["metadata"]["generation"]
    row = scene.at(3).follow(row)
    assert row.state is S.FAILED
    assert "exceeded quota" in row.message


@pytest.mark.parametrize(
    ("recording", "words"),
    [
        ("podstates_nopull_waiting_ImagePullBackOff", "ImagePullBackOff"),
        ("podstates_crashy_waiting_CrashLoopBackOff", "CrashLoopBackOff"),
        ("scale/unschedulable_pod", "cannot be scheduled"),
    ],
)
def test_pods_that_cannot_start_fail_the_action_early(scene: Acting, recording, words):
    row = scene.execute(scene.propose())
    body = body_of(recording)
    scene.cluster.pods = body.get("items") or [body]
    scene.cluster.live["status"]["observedGeneration"] = scene.cluster.live["metadata"]["generation"]
    row = scene.at(3).follow(row)
    assert row.state is S.FAILED
    assert words in row.message


def test_a_rollout_has_a_deadline_of_ours(scene: Acting):
    row = scene.execute(scene.propose())
    assert scene.at(599).follow(row).state is S.VERIFYING
    assert scene.at(601).follow(row).state is S.FAILED


def test_a_verdict_needs_evidence(scene: Acting):
    row = run(scene)
    scene.at(200).fleet(HealthStatus.HEALTHY, rps=0.1)
    assert scene.follow(row).message == "too little traffic (6 requests)"
    scene.at(320).fleet(HealthStatus.HEALTHY, rps=0.1)
    row = scene.follow(row)
    assert (row.state, row.message) == (S.INCONCLUSIVE, "inconclusive: too little traffic (6 requests)")


def test_silent_sources_never_end_in_success(scene: Acting):
    row = run(scene)
    scene.at(320).fleet(HealthStatus.HEALTHY, silent=True)
    row = scene.follow(row)
    assert row.state is S.INCONCLUSIVE
    assert "demo/prometheus" in row.message


def test_a_topology_that_stopped_never_ends_in_success(scene: Acting):
    row = run(scene)
    row = scene.at(320).follow(row)
    assert row.state is S.INCONCLUSIVE


def test_a_scale_that_makes_it_worse_has_failed(scene: Acting):
    row = run(scene)
    scene.at(80).fleet(HealthStatus.DEGRADED, errors=0.2, p95=2.0)
    assert scene.follow(row).state is S.VERIFYING
    scene.at(140).fleet(HealthStatus.DEGRADED, errors=0.2, p95=2.0)
    row = scene.follow(row)
    assert row.state is S.FAILED
    assert row.message.startswith("worse: p95 100 ms -> 2.0 s, errors 0.0 % -> 20.0 %")


def test_a_scale_that_changes_nothing_had_no_effect(scene: Acting):
    scene.fleet(HealthStatus.FAILING, errors=0.3, p95=2.0)
    row = run(scene)
    scene.at(200).fleet(HealthStatus.FAILING, errors=0.3, p95=2.0)
    assert scene.follow(row).state is S.VERIFYING
    scene.at(320).fleet(HealthStatus.FAILING, errors=0.3, p95=2.0)
    row = scene.follow(row)
    assert row.state is S.FAILED
    assert row.message.startswith("no effect")


def test_a_scale_of_a_healthy_service_that_stays_healthy_succeeds(scene: Acting):
    row = run(scene)
    scene.at(75).fleet(HealthStatus.HEALTHY)
    row = scene.follow(row)
    assert row.state is S.SUCCEEDED
    assert row.message.startswith("stayed healthy")


def test_a_second_round_of_the_same_step_changes_nothing(scene: Acting):
    row = run(scene)
    before = scene.audit()
    for _ in range(3):
        scene.follow(row)
    assert scene.audit() == before
    assert act.plan(scene.store, scene.config, row.id).state is S.VERIFYING


def test_an_action_that_cannot_be_taken_further_does_not_stop_the_others(scene: Acting):
    first = scene.propose()
    later = scene.at(1).propose()
    scene.execute(first)
    scene.cluster.live["spec"]["replicas"] = "many"
    assert scene.at(601).follow(later).state is S.EXPIRED


def test_what_nobody_could_plan_expires(scene: Acting):
    full, scene.config = scene.config, scene.without_account()
    row = scene.propose()
    scene.config = full
    scene.cluster.live["spec"]["replicas"] = "many"
    assert scene.at(599).follow(row).state is S.PLANNING
    assert scene.at(601).follow(row).state is S.EXPIRED
    assert scene.audit()[-1] == ("quarterdeck", "scale.expire", "expired")
