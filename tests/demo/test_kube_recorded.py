"""Every recorded refusal, sent to the simulated API: it must answer as the real one did."""

import json
from pathlib import Path
from urllib.parse import urlencode

import pytest

from demo import kube_read
from demo.seam import WorkloadSpec
from tests.support.demo_cluster import Demo

RECORDED = Path(__file__).parents[1] / "recorded" / "kubernetes_api"
NOT_MET = {
    "200_list_exact_old_rv": "resourceVersion 1 of a store that was never compacted",
    "403_admission_policy_scale": "the demo has no admission policies",
    "403_admission_policy_scale_dryrun": "the demo has no admission policies",
    "429_priority_and_fairness": "the demo has no overload protection",
}
OWN_WORDS = {  # the message holds a parser's words, or the whole object
    "400_bad_continue",
    "400_bad_json",
    "422_unknown_field_strict",
    "422_selector_immutable",
    "504_future_rv",
    "scale_err422_bad_type",
    "watch_410_old_rv_in_stream",
}
FILES = sorted(path for path in RECORDED.glob("*.json") if path.stem not in NOT_MET)


@pytest.fixture(scope="module")
def caller():
    demo = Demo(
        WorkloadSpec("gateway", "shop", replicas=2, version="1.2.4", previous=("1.2.3",)),
        WorkloadSpec("checkout", "shop", replicas=3, version="3.0.2", min_available=3),
        WorkloadSpec("cart", "shop", kind="StatefulSet", replicas=3, version="5.0.0"),
        WorkloadSpec("recreate", "platform", replicas=2),
    )
    demo.go(1)
    with demo.served(act_in=frozenset({"shop"})) as caller:
        caller.demo = demo
        yield caller


def test_only_known_recordings_are_left_out():
    assert {path.stem for path in RECORDED.glob("*.json")} - {path.stem for path in FILES} == set(NOT_MET)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_recorded_request_is_answered_as_the_real_server_did(caller, path, monkeypatch):
    monkeypatch.setattr(kube_read, "FUTURE_SECONDS", 0.1)
    recorded = json.loads(path.read_text())
    status, headers, body = send(caller, recorded["request"])
    assert status == recorded["status"]
    assert_same_headers(headers, recorded)
    if "events" in recorded:
        assert_same_status(path.stem, body["object"], recorded["events"][0]["event"]["object"])
        assert body["type"] == "ERROR"
    elif "text" in recorded:
        assert body == recorded["text"]
    elif recorded["body"]["kind"] == "Status":
        assert_same_status(path.stem, body, recorded["body"])
    else:
        assert body["kind"] == recorded["body"]["kind"]
        assert body["apiVersion"] == recorded["body"]["apiVersion"]
        assert set(body.get("status", {})) >= set(recorded["body"].get("status", {})) - {"conditions"}


def send(caller, request):
    pod = caller.demo.pods("checkout")[0]["metadata"]["name"]
    path = request["path"].replace("checkout-7d9fc55477-b7l2x", pod)
    if request.get("params"):
        path += "?" + urlencode(request["params"])
    headers = dict(request.get("headers") or {})
    if request.get("content_type"):
        headers["Content_Type"] = request["content_type"]
    return caller.call(request["method"], path, request.get("body"), user=request["user"], **headers)


def assert_same_headers(headers, recorded):
    wanted = recorded.get("headers") or {}
    for name in ("Content-Type", "Warning", "Retry-After"):
        if name in wanted:
            assert headers.get(name) == wanted[name]
    if recorded["status"] != 200 and "Retry-After" not in wanted:
        assert "Retry-After" not in headers


def assert_same_status(name, body, wanted):
    assert list(body) == list(wanted)
    assert (
        (body["reason"], body["code"], body["status"]) == (wanted["reason"], wanted["code"], wanted["status"])
        if "reason" in wanted
        else body["status"] == wanted["status"]
    )
    assert shape(body.get("details")) == shape(wanted.get("details"))
    assert set(body["metadata"]) == set(wanted["metadata"])
    if name not in OWN_WORDS:
        assert body.get("message") == wanted.get("message")


def shape(details):
    """What names the object and the fields at fault; free text of causes is the message's again."""
    if details is None:
        return None
    plain = {name: value for name, value in details.items() if name != "causes"}
    return plain, [(cause.get("reason"), cause.get("field")) for cause in details.get("causes", ())]
