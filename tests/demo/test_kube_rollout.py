"""Rolling updates in model time: what is there after how many seconds, and what the status says meanwhile."""

import pytest

from demo.kube_objects import condition_of
from demo.seam import WorkloadSpec
from tests.support.demo_cluster import Demo

ORDER = WorkloadSpec("order", "shop", replicas=3, version="1.2.0", previous=("1.0.0", "1.1.0"))


def counts(demo, name="order"):
    status = demo.get("deployments", name)["status"]
    return {key: value for key, value in status.items() if key != "conditions"}


def progressing(demo, name="order"):
    found = condition_of(demo.get("deployments", name), "Progressing")
    return found["status"], found["reason"]


def active(demo, name="order"):
    return {
        one["metadata"]["name"]: one
        for one in demo.all("replicasets")
        if one["metadata"]["labels"]["app"] == name and one["spec"]["replicas"]
    }


def revisions(demo, name="order"):
    return sorted(
        one["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
        for one in demo.all("replicasets")
        if one["metadata"]["labels"]["app"] == name
    )


def test_fleet_starts_ready_with_its_history():
    demo = Demo(ORDER)
    assert counts(demo) == {
        "observedGeneration": 1,
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "terminatingReplicas": 0,
    }
    assert progressing(demo) == ("True", "NewReplicaSetAvailable")
    assert revisions(demo) == ["1", "2", "3"]
    assert all(
        view.ready and view.version == "1.2.0" and view.ip for view in demo.cluster.pods("shop", "order")
    )
    assert demo.all("events") == []


def test_status_lags_behind_the_spec_by_a_tenth_of_a_second():
    demo = Demo(ORDER)
    demo.cluster.deploy("shop", "order", "1.3.0")
    assert demo.get("deployments", "order")["metadata"]["generation"] == 2
    assert counts(demo)["observedGeneration"] == 1
    demo.go(0.05, step=0.05)
    assert counts(demo)["observedGeneration"] == 1
    assert progressing(demo) == ("True", "NewReplicaSetCreated")
    demo.go(0.15, step=0.05)
    assert counts(demo)["observedGeneration"] == 2


def test_rolling_update_surges_by_one_and_takes_seconds():
    demo = Demo(ORDER)
    demo.cluster.deploy("shop", "order", "1.3.0")
    seen = []
    for _ in range(100):
        demo.go(0.2)
        status = counts(demo)
        assert status["replicas"] <= 4
        assert status["availableReplicas"] >= 3
        seen.append(status.get("updatedReplicas", 0))
    assert seen[2] == 1
    assert sorted(set(seen)) == [1, 2, 3]
    assert seen.index(3) * 0.2 > 4
    assert counts(demo)["updatedReplicas"] == counts(demo)["replicas"] == 3
    assert progressing(demo) == ("True", "NewReplicaSetAvailable")
    assert {view.version for view in demo.cluster.pods("shop", "order")} == {"1.3.0"}
    assert (
        demo.get("deployments", "order")["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
        == "4"
    )


def test_pod_goes_through_the_recorded_states():
    demo = Demo(ORDER)
    demo.cluster.deploy("shop", "order", "1.3.0")
    states = []
    for _ in range(160):
        demo.go(0.02, step=0.02)
        for pod in demo.pods("order"):
            if pod["spec"]["containers"][0]["image"].endswith("1.3.0"):
                ready = [c["status"] for c in pod["status"].get("conditions", ()) if c["type"] == "Ready"]
                held = pod["status"].get("containerStatuses", [{"state": {}}])[0]["state"]
                state = (pod["status"]["phase"], bool(pod["spec"].get("nodeName")), *held, *ready)
                if state not in states:
                    states.append(state)
                break
    assert states[:5] == [
        ("Pending", False),
        ("Pending", True),
        ("Pending", True, "waiting", "False"),
        ("Running", True, "running", "False"),
        ("Running", True, "running", "True"),
    ]


def test_rollback_takes_up_the_old_replica_set_under_a_new_number():
    demo = Demo(ORDER)
    before = next(iter(active(demo).values()))
    demo.cluster.deploy("shop", "order", "1.3.0")
    demo.go(30)
    demo.cluster.deploy("shop", "order", "1.2.0")
    demo.go(30)
    after = next(iter(active(demo).values()))
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    notes = after["metadata"]["annotations"]
    assert notes["deployment.kubernetes.io/revision"] == "5"
    assert notes["deployment.kubernetes.io/revision-history"] == "3"
    assert revisions(demo) == ["1", "2", "4", "5"]


def test_crashing_release_stops_after_one_pod_and_misses_its_deadline():
    demo = Demo(ORDER)
    with demo.cluster.lock:
        kind, old = demo.cluster.workload("shop", "order")
        new = {**old, "spec": {**old["spec"], "progressDeadlineSeconds": 20}}
        demo.cluster.write(kind, old, new, manager="test")
    demo.go(1)
    demo.cluster.deploy("shop", "order", "1.3.0-crash")
    demo.go(6)
    waiting = [
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
        for pod in demo.pods("order")
        if "waiting" in pod["status"]["containerStatuses"][0]["state"]
    ]
    assert waiting == ["CrashLoopBackOff"]
    assert progressing(demo) == ("True", "ReplicaSetUpdated")
    demo.go(16)
    assert progressing(demo) == ("False", "ProgressDeadlineExceeded")
    assert condition_of(demo.get("deployments", "order"), "Available")["status"] == "True"
    assert counts(demo)["availableReplicas"] == 3
    assert counts(demo)["unavailableReplicas"] == 1
    restarts = max(pod["status"]["containerStatuses"][0]["restartCount"] for pod in demo.pods("order"))
    assert restarts >= 1


def test_image_that_cannot_be_pulled_says_so():
    demo = Demo(ORDER)
    demo.cluster.deploy("shop", "order", "1.3.0-nopull")
    demo.go(4)
    (pod,) = [one for one in demo.pods("order") if one["status"]["phase"] == "Pending"]
    assert pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ImagePullBackOff"
    assert "podIP" not in pod["status"]


def test_quota_refuses_pods_and_both_statuses_say_why():
    demo = Demo(ORDER)
    demo.make(
        "resourcequotas", {"metadata": {"name": "q", "namespace": "shop"}, "spec": {"hard": {"pods": "4"}}}
    )
    with demo.cluster.lock:
        kind, old = demo.cluster.workload("shop", "order")
        demo.cluster.write(kind, old, {**old, "spec": {**old["spec"], "replicas": 6}}, manager="test")
    demo.go(2)
    failure = condition_of(demo.get("deployments", "order"), "ReplicaFailure")
    assert (failure["status"], failure["reason"]) == ("True", "FailedCreate")
    assert "exceeded quota: q, requested: pods=1, used: pods=4, limited: pods=4" in failure["message"]
    assert any(
        event["reason"] == "FailedCreate" and event["type"] == "Warning" for event in demo.all("events")
    )
    assert demo.get("resourcequotas", "q")["status"]["used"] == {"pods": "4"}


def test_paused_deployment_takes_a_template_and_does_not_roll_it_out():
    demo = Demo(ORDER)
    with demo.cluster.lock:
        kind, old = demo.cluster.workload("shop", "order")
        demo.cluster.write(kind, old, {**old, "spec": {**old["spec"], "paused": True}}, manager="test")
    demo.go(1)
    assert progressing(demo) == ("Unknown", "DeploymentPaused")
    demo.cluster.deploy("shop", "order", "1.3.0")
    demo.go(10)
    assert {view.version for view in demo.cluster.pods("shop", "order")} == {"1.2.0"}
    assert "updatedReplicas" not in counts(demo)


def test_old_replica_sets_beyond_the_history_limit_go():
    demo = Demo(ORDER)
    with demo.cluster.lock:
        kind, old = demo.cluster.workload("shop", "order")
        demo.cluster.write(
            kind, old, {**old, "spec": {**old["spec"], "revisionHistoryLimit": 1}}, manager="test"
        )
    demo.cluster.deploy("shop", "order", "1.3.0")
    demo.go(30)
    assert revisions(demo) == ["3", "4"]


def test_pod_that_fits_nowhere_stays_pending_with_the_schedulers_words():
    demo = Demo(ORDER, WorkloadSpec("huge", "shop", replicas=1, cpu_request="64"))
    (pod,) = demo.pods("huge")
    (refused,) = pod["status"]["conditions"]
    assert (refused["type"], refused["status"], refused["reason"]) == (
        "PodScheduled",
        "False",
        "Unschedulable",
    )
    assert "Insufficient cpu" in refused["message"]


def test_scheduler_events_have_only_an_event_time():
    demo = Demo(ORDER)
    demo.cluster.deploy("shop", "order", "1.3.0")
    demo.go(3)
    for event in demo.all("events"):
        if event["reportingComponent"] == "default-scheduler":
            assert event["eventTime"]
            assert event["firstTimestamp"] is None
            assert "count" not in event
        else:
            assert event["eventTime"] is None
            assert event["firstTimestamp"]
    assert {"Scheduled", "Started", "ScalingReplicaSet", "SuccessfulCreate"} <= {
        e["reason"] for e in demo.all("events")
    }


@pytest.mark.parametrize("step", [0.05, 0.2, 1.0])
def test_length_of_steps_does_not_change_the_outcome(step):
    demo = Demo(ORDER)
    demo.cluster.deploy("shop", "order", "1.3.0")
    demo.go(20, step=step)
    views = demo.cluster.pods("shop", "order")
    assert [(view.version, view.ready) for view in views] == [("1.3.0", True)] * 3
    alike = Demo(ORDER)
    alike.cluster.deploy("shop", "order", "1.3.0")
    alike.go(20, step=0.2)
    assert [view.name for view in views] == [view.name for view in alike.cluster.pods("shop", "order")]
