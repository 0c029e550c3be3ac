from __future__ import annotations

import pytest

from app.errors import ActionConflict, ActionFailed, ActionRefused, OutcomeUnknown
from collectors.kube_refusal import refusal_of
from tests.support.fake_kubernetes_writes import raw_of, recording

TABLE = [
    ("errors/400_bad_json", ActionRefused, "does not accept it (400)"),
    ("errors/401_bad_token", ActionRefused, "renew it"),
    ("errors/403_admission_policy_scale", ActionRefused, "no more than 20 replicas without a change ticket"),
    (
        "scale/err403_viewer",
        ActionRefused,
        "viewer may not patch deployments/scale: a Role with apiGroups: [apps]",
    ),
    ("scale/err403_operator_other_namespace", ActionRefused, "operator may not patch"),
    ("errors/404_deployment", ActionRefused, "it is gone"),
    ("errors/404_unknown_group", ActionRefused, "not installed"),
    ("scale/err409_put_stale_rv", ActionConflict, "changed since you looked: review again"),
    ("scale/err422_negative", ActionRefused, "spec.replicas"),
    ("scale/err422_bad_type", ActionRefused, "does not accept it (422)"),
    ("errors/422_unknown_field_strict", ActionRefused, "does not accept it (422)"),
    ("errors/422_bad_dryrun", ActionRefused, "dryRun"),
    ("errors/429_priority_and_fairness", ActionFailed, "overloaded"),
    ("errors/429_eviction_pdb", ActionRefused, "disruption budget"),
    ("errors/504_future_rv", OutcomeUnknown, "answer says nothing"),
    ("outage/etcd_stalled_patch_timeout5s", OutcomeUnknown, "answer says nothing"),
]


@pytest.mark.parametrize(("name", "kind", "words"), TABLE)
def test_every_recorded_refusal_becomes_a_sentence_of_its_kind(name, kind, words):
    error = refusal_of(recording(name)["status"], raw_of(name), writes=True)
    assert type(error) is kind
    assert words in str(error)


@pytest.mark.parametrize("name", [name for name, _, _ in TABLE])
def test_no_refusal_shows_an_object_or_runs_on(name):
    said = str(refusal_of(recording(name)["status"], raw_of(name), writes=True))
    assert len(said) < 420
    assert "{" not in said
    assert "last-applied" not in said
    assert said.isprintable()


def test_the_same_answer_to_a_read_or_dry_run_is_a_failure_and_not_unknown():
    error = refusal_of(504, raw_of("outage/etcd_stalled_patch_timeout5s"), writes=False)
    assert type(error) is ActionFailed
    assert "nothing was written" in str(error)


@pytest.mark.parametrize(
    "raw", [b"", b"<html>\x00\x1b[31mred", b"[1]", b"null", b'{"details": 5, "message": 7}', b"\xff" * 5_000]
)
def test_bodies_that_are_no_status_are_said_as_far_as_they_can_be(raw):
    for code in (400, 401, 403, 404, 409, 418, 422, 429, 500, 503):
        said = str(refusal_of(code, raw, writes=True))
        assert said.isprintable()
        assert len(said) < 420
