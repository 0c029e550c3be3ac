"""Every recorded list, watch, pod and refusal passes the decoders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.errors import SourceRefused, SourceUnavailable
from app.model.inventory import Pod, Revision, Workload
from collectors.kube_api import Expired, Forbidden, NotServed, refusal
from collectors.kube_kinds import KINDS, Kind, read_object, read_page
from collectors.kube_protocol import LINE, POSITION
from tests.support import recorded

BY_PLURAL = {kind.plural: kind for kind in KINDS}
LISTS = recorded.files("kubernetes", "list/*")
WATCHES = [p for p in recorded.files("kubernetes", "watch/*") if "err4" not in p.name]
PODS = recorded.files("kubernetes", "pods/*")


def _name(path: Path) -> str:
    return path.name.split(".")[0]


def _kind(recording: dict[str, Any]) -> Kind:
    return BY_PLURAL[recording["request"]["path"].rsplit("/", 1)[1]]


def _listed(name: str) -> list[Any]:
    recording = recorded.load(recorded.files("kubernetes", f"list/{name}.json*")[0])
    return list(read_page(_kind(recording), recorded.body(recording)).objects.values())


@pytest.mark.parametrize("path", LISTS, ids=_name)
def test_recorded_lists_are_read_whole(path: Path) -> None:
    recording = recorded.load(path)
    said = recording["body"]
    page = read_page(_kind(recording), recorded.body(recording))
    expected = {(i["metadata"].get("namespace", ""), i["metadata"]["name"]) for i in said["items"] or []}
    assert set(page.objects) == expected
    assert page.rejects == 0
    assert page.resource_version == said["metadata"]["resourceVersion"]
    assert page.next_page == said["metadata"].get("continue", "")


@pytest.mark.parametrize("path", WATCHES, ids=_name)
def test_recorded_streams_are_read_line_by_line(path: Path) -> None:
    recording = recorded.load(path)
    kind = _kind(recording)
    for entry in recording["events"]:
        line = LINE.decode(json.dumps(entry["event"]).encode())
        if line.type in {"ADDED", "MODIFIED", "DELETED"}:
            key, _, _ = read_object(kind, line.object)
            assert key[1] == entry["event"]["object"]["metadata"]["name"]
        if line.type == "BOOKMARK":
            position = POSITION.decode(line.object).metadata.resource_version
            assert position == entry["event"]["object"]["metadata"]["resourceVersion"]
        if line.type == "ERROR":
            assert isinstance(refusal("k", 410, bytes(line.object)), Expired)


@pytest.mark.parametrize("path", PODS, ids=_name)
def test_recorded_pods_say_what_is_wrong_with_them(path: Path) -> None:
    body = recorded.load(path)["body"]
    item = body["items"][0] if "items" in body else body
    _, pod, _ = read_object(BY_PLURAL["pods"], json.dumps(item).encode())
    reason = path.stem.removesuffix("_again").rsplit("_", 1)[1]
    if reason and reason != "ContainerCreating":
        assert pod.reason == reason
    if "OOMKilled" in path.name:
        assert pod.last_exit == "OOMKilled (137)"
    assert not pod.ready


def _error(name: str) -> Exception:
    recording = recorded.load(recorded.ROOT / "kubernetes" / "errors" / f"{name}.json")
    return refusal("Kubernetes", recording["status"], recorded.body(recording))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("401_bad_token", SourceRefused),
        ("403_nobody_list", Forbidden),
        ("403_anonymous", Forbidden),
        ("404_unknown_group", NotServed),
        ("404_unknown_resource", NotServed),
        ("410_continue_expired", Expired),
        ("410_list_exact_compacted", Expired),
        ("429_priority_and_fairness", SourceUnavailable),
        ("504_future_rv", SourceUnavailable),
        ("etcd_stalled_list_timeout5s", SourceUnavailable),
    ],
)
def test_recorded_refusals_become_our_errors(name: str, kind: type[Exception]) -> None:
    assert isinstance(_error(name), kind)


def test_a_refusal_that_embeds_a_whole_object_is_cut() -> None:
    assert len(str(_error("422_unknown_field_strict"))) < 400


def test_counts_that_are_left_out_are_zero() -> None:
    daemon: Workload = _listed("daemonsets")[0]
    assert (daemon.kind, daemon.desired, daemon.updated, daemon.ready) == ("DaemonSet", 3, 0, 3)


def test_revisions_carry_the_hash_their_pods_carry() -> None:
    revisions: list[Revision] = _listed("controllerrevisions")
    pods: list[Pod] = _listed("pods")
    hashes = {revision.template_hash for revision in revisions}
    owned = [pod.template_hash for pod in pods if pod.owner_kind in {"StatefulSet", "DaemonSet"}]
    assert owned
    assert set(owned) <= hashes


def test_pods_lead_to_their_deployment_through_their_replica_set() -> None:
    sets = {revision.uid: revision for revision in _listed("replicasets")}
    deployments = {workload.uid: workload.name for workload in _listed("deployments")}
    pods = [pod for pod in _listed("pods") if pod.owner_kind == "ReplicaSet"]
    assert pods
    for pod in pods:
        revision = sets[pod.owner_uid]
        assert pod.name.startswith(deployments[revision.owner_uid])
        assert pod.template_hash == revision.template_hash


def test_images_come_from_the_template_and_nothing_of_the_environment_is_kept() -> None:
    workloads = [*_listed("deployments"), *_listed("statefulsets")]
    assert all(one.containers[0].image.startswith("registry.example/") for one in workloads)
    assert "LOG_LEVEL" not in repr(workloads)
    assert "managedFields" not in repr(workloads)


def test_pods_of_a_lost_node_are_not_ready_though_they_run() -> None:
    pods: list[Pod] = _listed("down_pods_shop")
    assert ("Running", False) in {(pod.phase, pod.ready) for pod in pods}
    assert not any(pod.ready for pod in pods)


def test_events_have_a_time_whichever_field_holds_it() -> None:
    events = _listed("events")
    assert len(events) == 423
    assert all(event.at is not None for event in events)
