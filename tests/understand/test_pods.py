from __future__ import annotations

from datetime import timedelta

from app.model.inventory import Condition
from app.understand.pods import judge_pods
from tests.support.fleets import NOON, pod, workload


def verdict(of, *pods):
    found = judge_pods(of, pods, NOON)
    return found.severity, [reason.message for _, reason in found.reasons]


def broken(of, index, reason, **over):
    return pod(of, index, ready=False, reason=reason, **over)


def test_all_pods_available_is_fine():
    order = workload("order")
    assert verdict(order, pod(order, 0), pod(order, 1)) == (0, [])


def test_a_surge_pod_is_no_failure():
    order = workload("order", replicas=3, current=4, updated=1)
    assert verdict(order, *(pod(order, i) for i in range(3)), broken(order, 3, "ContainerCreating")) == (
        0,
        [],
    )


def test_none_available_is_failing():
    order = workload("order", replicas=3, available=0, ready=0)
    assert verdict(order) == (2, ["0 of 3 pods are available"])


def test_some_missing_is_degraded():
    order = workload("order", replicas=3, available=2, ready=2)
    old = NOON - timedelta(hours=1)
    assert verdict(order, broken(order, 0, "", created=old)) == (1, ["2 of 3 pods are available"])


def test_young_pods_are_starting_and_not_missing():
    order = workload("order", replicas=6, available=3, ready=3)
    young = [broken(order, i, "ContainerCreating", created=NOON - timedelta(seconds=20)) for i in range(3)]
    assert verdict(order, *young) == (0, ["3 of 6 pods are available, the others are starting"])


def test_a_rollout_may_keep_max_unavailable_pods_away():
    rolling = workload("order", replicas=8, available=6, updated=3, max_unavailable="25%")
    assert verdict(rolling)[0] == 0
    assert verdict(workload("order", replicas=8, available=5, updated=3, max_unavailable="25%"))[0] == 1


def test_pods_that_cannot_run_are_named_with_their_reason():
    order = workload("order", replicas=3, current=5)
    pods = [broken(order, i, "CrashLoopBackOff") for i in range(2)]
    assert verdict(order, *pods) == (1, ["2 pods: CrashLoopBackOff"])


def test_a_young_pod_with_a_bad_reason_is_not_starting():
    order = workload("order", replicas=2, available=1)
    crashing = broken(order, 1, "ImagePullBackOff", created=NOON)
    assert verdict(order, crashing) == (1, ["1 of 2 pods are available", "1 pod: ImagePullBackOff"])


def test_pods_that_are_going_away_say_nothing():
    order = workload("order")
    assert verdict(order, broken(order, 0, "Error", deleting=True)) == (0, [])


def test_a_stuck_rollout_is_told_though_the_old_pods_serve():
    stuck = Condition("Progressing", "False", "ProgressDeadlineExceeded")
    assert verdict(workload("order", conditions=(stuck,))) == (
        1,
        ["the rollout is stuck (ProgressDeadlineExceeded)"],
    )


def test_scaled_to_zero_is_neither_failing_nor_healthy():
    found = judge_pods(workload("order", replicas=0), [], NOON)
    assert (found.severity, found.scaled_to_zero) == (0, True)
