"""The store: any position inside the history can be read again, and quiet objects cost nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.kube_kinds import LEASE, POD
from demo.kube_store import Gone, Store
from demo.seam import WorkloadSpec
from tests.support.demo_cluster import Demo

OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["put", "put", "delete"]), st.sampled_from(["a", "b"]), st.sampled_from("xyz")),
    max_size=40,
)


def pod(namespace, name, number):
    return {"metadata": {"namespace": namespace, "name": name, "labels": {}}, "spec": {"number": number}}


def shown(entries):
    return [(entry.key, entry.obj["spec"]["number"]) for entry in entries]


@given(OPERATIONS)
def test_every_position_of_the_history_can_be_read_again(operations):
    store = Store(lambda: 0.0)
    states = {store.rv: []}
    for number, (operation, namespace, name) in enumerate(operations):
        if operation == "put":
            store.put(POD, pod(namespace, name, number))
        else:
            store.delete(POD, (namespace, name))
        states[store.rv] = shown(store.shelves[POD].present(""))
    for position, state in states.items():
        assert shown(store.shelves[POD].at(position, "")) == state
        assert shown(store.shelves[POD].at(position, "a")) == [one for one in state if one[0][0] == "a"]


@given(OPERATIONS, st.integers(0, 40))
def test_changes_since_a_position_rebuild_the_present(operations, split):
    store = Store(lambda: 0.0)
    known, position = {}, store.rv
    for number, (operation, namespace, name) in enumerate(operations):
        if number == split:
            known = dict(shown(store.shelves[POD].present("")))
            position = store.rv
        if operation == "put":
            store.put(POD, pod(namespace, name, number))
        else:
            store.delete(POD, (namespace, name))
    for change in store.shelves[POD].since(position):
        if change.type == "DELETED":
            del known[change.entry.key]
        else:
            known[change.entry.key] = change.entry.obj["spec"]["number"]
    assert sorted(known.items()) == shown(store.shelves[POD].present(""))


def test_position_before_the_history_is_gone():
    store = Store(lambda: 0.0)
    store.put(POD, pod("a", "x", 1))
    before = store.rv
    store.put(POD, pod("a", "x", 2))
    store.compact()
    with pytest.raises(Gone):
        store.shelves[POD].since(before)
    with pytest.raises(Gone):
        store.shelves[POD].at(before, "")


def test_quiet_fleet_writes_nothing_but_leases():
    demo = Demo(*(WorkloadSpec(f"service-{number}", "shop", replicas=3) for number in range(60)))
    written = []
    demo.cluster.store.reactions.append(lambda change: written.append(change.entry.kind))
    demo.go(60, step=1.0)
    assert len(demo.cluster.node_names()) > 3
    assert set(written) == {LEASE}


def test_json_of_an_unchanged_object_is_made_once():
    demo = Demo(WorkloadSpec("order", "shop"))
    entry = demo.cluster.store.shelves[POD].present("shop")[0]
    assert entry.item is entry.item
    with demo.served() as caller:
        caller.call("GET", "/api/v1/pods")
    assert demo.cluster.store.shelves[POD].present("shop")[0].item is entry.item


def test_pod_views_are_made_anew_only_after_a_change():
    demo = Demo(WorkloadSpec("order", "shop"))
    views = demo.cluster.pods("shop", "order")
    demo.go(5)
    assert demo.cluster.pods("shop", "order") is views
    demo.cluster.deploy("shop", "order", "2.0.0")
    demo.go(1)
    assert demo.cluster.pods("shop", "order") is not views


def test_same_seed_makes_the_same_names():
    names = [
        [view.name for view in Demo(WorkloadSpec("order", "shop")).cluster.pods("shop", "order")]
        for _ in "ab"
    ]
    assert names[0] == names[1]
    other = Demo(WorkloadSpec("order", "shop"), seed=8).cluster.pods("shop", "order")
    assert [view.name for view in other] != names[0]


def test_unknown_workload_or_node_is_a_key_error():
    demo = Demo(WorkloadSpec("order", "shop"))
    with pytest.raises(KeyError):
        demo.cluster.deploy("shop", "nope", "1")
    with pytest.raises(KeyError):
        demo.cluster.lose_node("nope")
    assert demo.cluster.pods("shop", "nope") == []
