"""The three kinds of patch as tables, and who is recorded as owner of a field."""

import pytest

from demo import kube_managed
from demo.kube_patch import BadPatch, apply_json_patch, merge, merge_strategic
from demo.kube_protobuf import decoded
from demo.seam import WorkloadSpec
from tests.support.demo_cluster import Demo

ORDER = "/apis/apps/v1/namespaces/shop/deployments/order"


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [  # RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_is_that_of_the_rfc(document, patch, result):
    assert merge(document, patch) == result


@pytest.mark.parametrize(
    ("document", "operations", "result"),
    [  # RFC 6902, appendix A
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
        ({"foo": [1, 3]}, [{"op": "add", "path": "/foo/1", "value": 2}], {"foo": [1, 2, 3]}),
        ({"foo": [1]}, [{"op": "add", "path": "/foo/-", "value": 2}], {"foo": [1, 2]}),
        ({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}),
        ({"a": {"b": 1}}, [{"op": "move", "from": "/a/b", "path": "/c"}], {"a": {}, "c": 1}),
        ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}),
        ({"a/b": 1, "m~n": 2}, [{"op": "test", "path": "/a~1b", "value": 1}], {"a/b": 1, "m~n": 2}),
        ({"m~n": 2}, [{"op": "replace", "path": "/m~0n", "value": 3}], {"m~n": 3}),
    ],
)
def test_json_patch_is_that_of_the_rfc(document, operations, result):
    assert apply_json_patch(document, operations) == result


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "replace", "path": "/nope", "value": 2}],
        [{"op": "remove", "path": "/list/7"}],
        [{"op": "add", "path": "/nope/deep", "value": 2}],
        [{"op": "add", "path": "/a/b", "value": 2}],
        [{"op": "frobnicate", "path": "/a"}],
        [{"op": "add", "path": "/a"}],
        [{"op": "replace", "path": "no-slash", "value": 1}],
        ["text"],
        {"op": "remove"},
    ],
)
def test_json_patch_that_does_not_apply_is_refused_and_changes_nothing(operations):
    document = {"a": 1, "list": [1]}
    with pytest.raises(BadPatch):
        apply_json_patch(document, operations)
    assert document == {"a": 1, "list": [1]}


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        (
            {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]},
            {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "a", "image": "2"}]},
            {"containers": [{"name": "a", "image": "2"}, {"name": "b", "image": "1"}]},
        ),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "$patch": "delete"}]}, {"env": []}),
        ({"template": {"a": 1, "b": 2}}, {"template": {"$patch": "replace", "b": 3}}, {"template": {"b": 3}}),
        ({"template": {"a": 1}}, {"template": {"$patch": "delete"}}, {}),
        (
            {"strategy": {"type": "A", "x": 1}},
            {"strategy": {"$retainKeys": ["type"], "type": "B"}},
            {"strategy": {"type": "B"}},
        ),
        ({"args": ["a"]}, {"args": ["b"]}, {"args": ["b"]}),
        ({"finalizers": ["a"]}, {"finalizers": ["b"]}, {"finalizers": ["a", "b"]}),
        (
            {"ports": [{"containerPort": 80, "name": "x"}]},
            {"ports": [{"containerPort": 81}]},
            {"ports": [{"containerPort": 80, "name": "x"}, {"containerPort": 81}]},
        ),
        ({"a": {"b": 1}}, {"a": {"b": None}}, {"a": {}}),
    ],
)  # fmt: skip
def test_strategic_patch_merges_lists_by_their_keys(document, patch, result):
    assert merge_strategic(document, patch) == result


def test_owner_of_a_field_is_who_changed_it_last():
    old = {"metadata": {"name": "x"}, "spec": {"replicas": 1, "template": {"labels": {"a": "1"}}}}
    first = kube_managed.record(
        None, kube_managed.fields_of(old), manager="ci", api_version="apps/v1", time="t1"
    )
    new = {"metadata": {"name": "x"}, "spec": {"replicas": 2, "template": {"labels": {"a": "1"}}}}
    tree = kube_managed.changed_fields(old, new)
    assert tree == {"f:spec": {"f:replicas": {}}}
    second = kube_managed.record(first, tree, manager="quarterdeck", api_version="apps/v1", time="t2")
    assert [entry["manager"] for entry in second] == ["ci", "quarterdeck"]
    assert "f:replicas" not in second[0]["fieldsV1"]["f:spec"]
    assert kube_managed.owns(second, "f:spec", "f:replicas")["time"] == "t2"


@pytest.fixture
def caller():
    demo = Demo(WorkloadSpec("order", "shop", replicas=2, version="1.2.0"))
    with demo.served() as caller:
        caller.demo = demo
        yield caller


def test_manager_without_a_name_is_the_first_part_of_the_user_agent(caller):
    caller.merge(ORDER, {"spec": {"paused": True}}, User_Agent="python-requests/2.3")
    entries = caller.demo.get("deployments", "order")["metadata"]["managedFields"]
    assert any(
        entry["manager"] == "python-requests" and entry["fieldsV1"] == {"f:spec": {"f:paused": {}}}
        for entry in entries
    )


def test_patch_that_changes_nothing_writes_nothing(caller):
    _, _, before = caller.call("GET", ORDER)
    status, _, after = caller.merge(ORDER, {"spec": {"replicas": 2}})
    assert (status, after) == (200, before)


def test_null_removes_and_a_wrong_type_embeds_the_object(caller):
    caller.merge(ORDER, {"spec": {"paused": True}})
    _, _, body = caller.merge(ORDER, {"spec": {"paused": None}})
    assert "paused" not in body["spec"]
    status, _, body = caller.merge(ORDER, {"spec": {"paused": "yes"}})
    assert (status, body["details"]["causes"][0]["field"]) == (422, "patch")
    assert '\\"image\\"' in body["message"]


def test_status_and_system_fields_are_not_the_clients_to_write(caller):
    _, _, before = caller.call("GET", ORDER)
    patch = {
        "status": {"replicas": 99},
        "metadata": {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 77},
    }
    _, _, body = caller.merge(ORDER, patch)
    assert body["status"] == before["status"]
    assert body["metadata"]["generation"] == before["metadata"]["generation"]
    assert body["metadata"]["creationTimestamp"] == before["metadata"]["creationTimestamp"]


def test_other_uid_is_a_conflict(caller):
    status, _, body = caller.merge(ORDER, {"metadata": {"uid": "other"}, "spec": {"replicas": 9}})
    assert (status, body["reason"]) == (409, "Conflict")


@pytest.mark.parametrize(
    "body", [b"", b"k8s", b"k8s\x00\x0a", b"k8s\x00\xff\xff\xff", b"k8s\x00" + b"\x80" * 12, b"{}"]
)
def test_protobuf_that_is_cut_or_foreign_is_refused(body, caller):
    with pytest.raises(ValueError, match=r".+"):
        decoded(body)
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    status, _, _ = caller.call("POST", path, body, Content_Type="application/vnd.kubernetes.protobuf")
    assert status == 400
