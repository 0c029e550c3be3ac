from __future__ import annotations

import pytest

from app.actions import rollout
from tests.support.fake_kubernetes_writes import body_of


def deployment(generation=2, observed=2, desired=4, updated=4, total=4, available=4, **spec):
    return {
        "kind": "Deployment",
        "metadata": {"name": "order", "generation": generation},
        "spec": {"replicas": desired} | spec,
        "status": {
            "observedGeneration": observed,
            "updatedReplicas": updated,
            "replicas": total,
            "availableReplicas": available,
            "readyReplicas": available,
        },
    }


def stateful_set(desired=3, ready=3, total=3, observed=1):
    return {
        "kind": "StatefulSet",
        "metadata": {"name": "cart", "generation": 1},
        "spec": {"replicas": desired},
        "status": {"observedGeneration": observed, "readyReplicas": ready, "replicas": total},
    }


@pytest.mark.parametrize(
    ("live", "done", "words"),
    [
        (deployment(), True, "4 of 4 pods are ready"),
        (deployment(generation=3), False, "has not seen the change"),
        (deployment(updated=2), False, "2 of 4 pods made"),
        (deployment(total=6), False, "2 old pods terminating"),
        (deployment(available=3), False, "3 of 4 pods available"),
        (deployment(available=3, updated=0, paused=True), False, "rollout paused"),
        (deployment(updated=0, paused=True), True, "4 of 4"),
        (deployment(desired=0, updated=0, total=0, available=0), True, "0 of 0"),
        (stateful_set(), True, "3 of 3"),
        (stateful_set(ready=2), False, "2 of 3 pods ready"),
        (stateful_set(total=4), False, "1 pods terminating"),
        (stateful_set(observed=0), False, "has not seen the change"),
    ],
)
def test_the_table_of_rollout_states(live, done, words):
    found = rollout.progress(live, [], [])
    assert (found.done, found.failed) == (done, False)
    assert words in found.message


def test_the_recorded_rollout_that_finished_is_done_and_the_one_that_stalled_failed():
    done = rollout.progress(body_of("rollback/7_after_complete_deployment_checkout"), [], [])
    assert done.done
    stuck = rollout.progress(body_of("rollback/3_stuck_deployment_checkout"), [], [])
    assert stuck.failed
    assert "progress deadline" in stuck.message


def test_a_quota_that_stops_pods_is_quoted_from_the_newest_event():
    live = body_of("scale/quota_exceeded_after")
    events = body_of("scale/quota_events")["items"]
    found = rollout.progress(live, [], events)
    assert found.failed
    assert "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2" in found.message


def test_events_about_others_are_not_quoted():
    event = {"involvedObject": {"kind": "ReplicaSet", "name": "other-5c8996dd68"}, "message": "theirs"}
    live = stateful_set(ready=1)
    assert not rollout.progress(live, [], [event]).failed
    mine = {"involvedObject": {"kind": "StatefulSet", "name": "cart"}, "message": "no volume"}
    assert "no volume" in rollout.progress(live, [], [event, mine]).message


def test_a_broken_old_pod_does_not_fail_a_finished_rollout():
    pod = body_of("podstates_crashy_waiting_CrashLoopBackOff")
    assert rollout.progress(deployment(), [pod], []).done
    assert rollout.progress(deployment(available=3), [pod], []).failed
    leaving = {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "now"}}
    assert not rollout.progress(deployment(available=3), [leaving], []).failed
