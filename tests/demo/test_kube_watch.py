"""Watches and positions: initial events, bookmarks, both forms of 410, other forms of the answer."""

import http.client

import pytest

from demo import kube_watch
from demo.seam import WorkloadSpec
from tests.support.demo_cluster import Demo

DEPLOYMENTS = "/apis/apps/v1/namespaces/shop/deployments"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1,application/json"


@pytest.fixture
def demo():
    return Demo(*(WorkloadSpec(name, "shop", replicas=2, version="1.2.0") for name in ("gateway", "order")))


@pytest.fixture
def caller(demo):
    with demo.served() as caller:
        yield caller


def position(caller):
    return caller.call("GET", f"{DEPLOYMENTS}?limit=1")[2]["metadata"]["resourceVersion"]


def scale(caller, count, name="order"):
    return caller.merge(f"{DEPLOYMENTS}/{name}/scale", {"spec": {"replicas": count}})


def test_watch_without_a_position_begins_with_what_is_there_and_a_bookmark(caller):
    first, second, mark = caller.events(f"{DEPLOYMENTS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=5", 3)
    assert [first["type"], second["type"], mark["type"]] == ["ADDED", "ADDED", "BOOKMARK"]
    assert first["object"]["kind"] == "Deployment"
    assert mark["object"] == {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {
            "resourceVersion": mark["object"]["metadata"]["resourceVersion"],
            "annotations": {"k8s.io/initial-events-end": "true"},
        },
        "spec": {
            "replicas": 0,
            "selector": None,
            "template": {"metadata": {}, "spec": {"containers": None}},
            "strategy": {},
        },
        "status": {},
    }


def test_watch_without_bookmarks_gets_none(caller):
    events = caller.events(f"{DEPLOYMENTS}?watch=1&timeoutSeconds=1", 9)
    assert [event["type"] for event in events] == ["ADDED", "ADDED"]


def test_watch_from_a_list_misses_nothing_and_ends_with_a_bookmark(caller):
    start = position(caller)
    scale(caller, 3)
    scale(caller, 4)
    path = f"{DEPLOYMENTS}?watch=1&resourceVersion={start}&allowWatchBookmarks=true&timeoutSeconds=2"
    events = caller.events(path, 9)
    assert [event["type"] for event in events] == ["MODIFIED", "MODIFIED", "BOOKMARK"]
    assert [event["object"]["spec"]["replicas"] for event in events] == [3, 4, 0]
    assert int(events[-1]["object"]["metadata"]["resourceVersion"]) >= int(
        events[1]["object"]["metadata"]["resourceVersion"]
    )


def test_events_get_no_bookmark_but_the_first(caller):
    path = "/api/v1/namespaces/shop/events?watch=1&allowWatchBookmarks=true&timeoutSeconds=2"
    events = caller.events(path, 9)
    assert [event["type"] for event in events] == ["BOOKMARK"]


def test_bookmarks_come_at_their_period(caller, monkeypatch):
    monkeypatch.setattr(kube_watch, "BOOKMARK_SECONDS", 0.05)
    path = (
        f"{DEPLOYMENTS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=30&resourceVersion={position(caller)}"
    )
    events = caller.events(path, 3)
    assert [event["type"] for event in events] == ["BOOKMARK"] * 3


def test_position_before_the_history_is_an_error_event_in_a_good_answer(caller, demo):
    start = position(caller)
    scale(caller, 3)
    demo.cluster.store.compact()
    (event,) = caller.events(f"{DEPLOYMENTS}?watch=1&resourceVersion={start}&timeoutSeconds=5", 9)
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    (after,) = caller.events(
        f"{DEPLOYMENTS}?watch=1&resourceVersion={position(caller)}&timeoutSeconds=1", 1
    ) or [None]
    assert after is None or after["type"] != "ERROR"


def test_history_is_compacted_after_five_minutes(caller, demo):
    start = position(caller)
    scale(caller, 3)
    demo.now += 400
    scale(caller, 4)
    (event,) = caller.events(f"{DEPLOYMENTS}?watch=1&resourceVersion={start}&timeoutSeconds=5", 9)
    assert event["object"]["code"] == 410


def test_expired_page_offers_an_inconsistent_token_that_works(caller, demo):
    _, _, page = caller.call("GET", "/api/v1/pods?limit=1")
    demo.cluster.deploy("shop", "order", "1.3.0")
    demo.go(5)
    demo.cluster.store.compact()
    status, _, body = caller.call("GET", f"/api/v1/pods?limit=1&continue={page['metadata']['continue']}")
    assert (status, body["reason"]) == (410, "Expired")
    status, _, rest = caller.call("GET", f"/api/v1/pods?continue={body['metadata']['continue']}")
    assert status == 200
    assert page["items"][0]["metadata"]["name"] not in [pod["metadata"]["name"] for pod in rest["items"]]


def test_selector_turns_changes_into_comings_and_goings(caller):
    start = position(caller)
    caller.merge(f"{DEPLOYMENTS}/order", {"metadata": {"labels": {"team": "red"}}})
    caller.merge(f"{DEPLOYMENTS}/order", {"metadata": {"labels": {"team": None}}})
    path = f"{DEPLOYMENTS}?watch=1&resourceVersion={start}&labelSelector=team%3Dred&timeoutSeconds=5"
    assert [event["type"] for event in caller.events(path, 2)] == ["ADDED", "DELETED"]


def test_reader_that_does_not_read_holds_up_no_write(caller, demo):
    connection = http.client.HTTPConnection("127.0.0.1", caller.server.port, timeout=20)
    connection.request("GET", "/api/v1/pods?watch=1", headers={"Authorization": "Bearer token-admin"})
    try:
        assert connection.getresponse().status == 200
        for version in ("1.3.0", "1.4.0", "1.5.0"):
            demo.cluster.deploy("shop", "order", version)
            demo.go(20)
        assert {view.version for view in demo.cluster.pods("shop", "order")} == {"1.5.0"}
    finally:
        connection.close()


def test_stopping_the_server_ends_the_streams(demo):
    with demo.served() as caller:
        caller.events(f"{DEPLOYMENTS}?watch=1", 1)
    assert demo.get("deployments", "order")


def test_list_as_table_has_the_columns_kubectl_prints(caller):
    _, _, body = caller.call("GET", DEPLOYMENTS, Accept=TABLE)
    assert body["kind"] == "Table"
    names = [column["name"] for column in body["columnDefinitions"] if column["priority"] == 0]
    assert names == ["Name", "Ready", "Up-to-date", "Available", "Age"]
    assert body["rows"][1]["cells"][:5] == ["order", "2/2", 2, 2, "4d"]
    assert body["rows"][1]["object"]["kind"] == "PartialObjectMetadata"


def test_list_as_metadata_has_nothing_else(caller):
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    _, _, body = caller.call("GET", DEPLOYMENTS, Accept=accept)
    assert body["kind"] == "PartialObjectMetadataList"
    assert set(body["items"][0]) == {"kind", "apiVersion", "metadata"}


def test_items_of_a_list_have_no_kind_and_numbers_that_are_zero_are_left_out(caller, demo):
    scale(caller, 0)
    demo.go(5)
    _, _, body = caller.call("GET", DEPLOYMENTS)
    assert list(body) == ["kind", "apiVersion", "metadata", "items"]
    assert list(body["items"][0]) == ["metadata", "spec", "status"]
    assert "readyReplicas" not in body["items"][1]["status"]


def test_exact_position_shows_the_past(caller):
    start = position(caller)
    scale(caller, 5)
    _, _, body = caller.call("GET", f"{DEPLOYMENTS}?resourceVersion={start}&resourceVersionMatch=Exact")
    assert [item["spec"]["replicas"] for item in body["items"]] == [2, 2]


def test_aggregated_discovery_says_which_kinds_scale(caller):
    accept = "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList"
    status, headers, body = caller.call("GET", "/apis", Accept=accept)
    assert (status, headers["Content-Type"]) == (
        200,
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    )
    apps = next(item for item in body["items"] if item["metadata"]["name"] == "apps")
    scalable = {
        entry["resource"]
        for entry in apps["versions"][0]["resources"]
        if any(sub["subresource"] == "scale" for sub in entry.get("subresources", ()))
    }
    assert scalable == {"deployments", "replicasets", "statefulsets"}


def test_health_needs_no_token_and_refuses_a_wrong_one(caller):
    assert caller.call("GET", "/livez", user="anonymous")[::2] == (200, "ok")
    assert caller.call("GET", "/version", user="anonymous")[2]["gitVersion"] == "v1.36.2"
    assert caller.call("GET", "/livez", user="bad")[0] == 401
    assert caller.call("GET", "/apis", user="anonymous")[0] == 403


@pytest.mark.parametrize(("length", "status"), [("-5", 400), ("many", 400), ("99999999", 413)])
def test_impossible_length_of_a_body_is_refused(caller, length, status):
    assert caller.call("POST", DEPLOYMENTS, b"{}", Content_Length=length)[0] == status


def test_fault_of_the_simulator_is_an_internal_error(caller, demo):
    with demo.cluster.lock:
        kind, old = demo.cluster.workload("shop", "order")
        demo.cluster.store.put(kind, {name: value for name, value in old.items() if name != "spec"})
    status, _, body = caller.call("GET", f"{DEPLOYMENTS}/order/scale")
    assert (status, body["reason"]) == (500, "InternalError")
