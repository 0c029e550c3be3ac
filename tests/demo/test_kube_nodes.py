"""A node that stops answering, and StatefulSets: what the recordings show, in model time."""

from demo.kube_objects import condition_of
from demo.seam import WorkloadSpec
from tests.support.demo_cluster import Demo

ORDER = WorkloadSpec("order", "shop", replicas=3, version="1.2.0", min_available=2)
CART = WorkloadSpec("cart", "shop", kind="StatefulSet", replicas=3, version="5.0.0", previous=("4.9.0",))


def ready_of(demo, name, plural="nodes", namespace=""):
    return condition_of(demo.get(plural, name, namespace), "Ready")


def on(demo, node, app="order"):
    return [pod for pod in demo.pods(app) if pod["spec"].get("nodeName") == node]


def test_pods_of_a_workload_are_spread_over_nodes_and_zones():
    demo = Demo(ORDER)
    assert {view.node for view in demo.cluster.pods("shop", "order")} == {"node-01", "node-02", "node-03"}
    zones = {pod["metadata"]["labels"]["topology.kubernetes.io/zone"] for pod in demo.pods("order")}
    assert zones == {"zone-1", "zone-2", "zone-3"}


def test_lost_node_is_unknown_after_46_seconds_and_its_pods_are_not_ready():
    demo = Demo(ORDER)
    demo.go(5)
    demo.cluster.lose_node("node-02")
    demo.go(45)
    assert ready_of(demo, "node-02")["status"] == "True"
    demo.go(2)
    assert ready_of(demo, "node-02")["status"] == "Unknown"
    assert ready_of(demo, "node-02")["reason"] == "NodeStatusUnknown"
    effects = [taint["effect"] for taint in demo.get("nodes", "node-02", "")["spec"]["taints"]]
    assert effects == ["NoSchedule", "NoExecute"]
    (pod,) = on(demo, "node-02")
    assert condition_of(pod, "Ready")["status"] == "False"
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["containerStatuses"][0]["ready"] is True
    (slice_,) = demo.all("endpointslices")
    assert sorted(one["conditions"]["ready"] for one in slice_["endpoints"]) == [False, True, True]
    assert demo.get("poddisruptionbudgets", "order")["status"]["disruptionsAllowed"] == 0
    renewed = {lease["metadata"]["name"]: lease["spec"]["renewTime"] for lease in demo.all("leases")}
    assert renewed["node-02"] < renewed["node-01"]


def test_pods_of_a_lost_node_are_evicted_after_five_minutes_and_hang_there():
    demo = Demo(ORDER)
    demo.cluster.lose_node("node-02")
    demo.go(300, step=1)
    assert len(demo.pods("order")) == 3
    demo.go(60, step=1)
    (hanging,) = on(demo, "node-02")
    assert hanging["metadata"]["deletionTimestamp"]
    assert sum(view.ready for view in demo.cluster.pods("shop", "order")) == 3
    demo.cluster.restore_node("node-02")
    demo.go(10)
    assert on(demo, "node-02") == []
    assert ready_of(demo, "node-02")["status"] == "True"
    assert "taints" not in demo.get("nodes", "node-02", "")["spec"]


def test_node_that_comes_back_in_time_keeps_its_pods():
    demo = Demo(ORDER)
    demo.cluster.lose_node("node-02")
    demo.go(60)
    demo.cluster.restore_node("node-02")
    demo.go(2)
    (pod,) = on(demo, "node-02")
    assert condition_of(pod, "Ready")["status"] == "True"
    assert all(view.ready for view in demo.cluster.pods("shop", "order"))


def test_node_reports_every_five_minutes_and_is_fresh_at_the_start():
    demo = Demo(ORDER)
    heard = condition_of(demo.get("nodes", "node-01", ""), "Ready")["lastHeartbeatTime"]
    demo.go(200, step=1)
    assert condition_of(demo.get("nodes", "node-01", ""), "Ready")["lastHeartbeatTime"] == heard
    demo.go(150, step=1)
    assert condition_of(demo.get("nodes", "node-01", ""), "Ready")["lastHeartbeatTime"] > heard
    assert heard > demo.get("nodes", "node-01", "")["metadata"]["creationTimestamp"]


def test_leases_are_renewed_every_ten_seconds():
    demo = Demo(ORDER)
    before = demo.get("leases", "node-01", "kube-node-lease")["spec"]["renewTime"]
    demo.go(11)
    assert demo.get("leases", "node-01", "kube-node-lease")["spec"]["renewTime"] > before


def test_stateful_set_is_updated_from_the_highest_ordinal_down():
    demo = Demo(CART)
    status = demo.get("statefulsets", "cart")["status"]
    assert status["currentRevision"] == status["updateRevision"]
    demo.cluster.deploy("shop", "cart", "5.1.0")
    order = []
    for _ in range(200):
        demo.go(0.2)
        views = demo.cluster.pods("shop", "cart")
        assert sum(view.ready for view in views) >= 2
        for view in views:
            if view.version == "5.1.0" and view.name not in order:
                order.append(view.name)
        if len(order) == 2:
            mixed = demo.get("statefulsets", "cart")["status"]
            assert mixed["currentRevision"] != mixed["updateRevision"]
    assert order == ["cart-2", "cart-1", "cart-0"]
    status = demo.get("statefulsets", "cart")["status"]
    assert status["currentRevision"] == status["updateRevision"]
    assert status["updatedReplicas"] == status["readyReplicas"] == 3


def test_revisions_of_a_stateful_set_are_numbered_anew_when_taken_up_again():
    demo = Demo(CART)
    first = {one["metadata"]["name"]: one["revision"] for one in demo.all("controllerrevisions")}
    demo.cluster.deploy("shop", "cart", "4.9.0")
    demo.go(30)
    again = {one["metadata"]["name"]: one["revision"] for one in demo.all("controllerrevisions")}
    assert sorted(first.values()) == [1, 2]
    assert sorted(again.values()) == [2, 3]
    assert set(first) == set(again)
    (pod, *_) = demo.pods("cart")
    label = pod["metadata"]["labels"]["controller-revision-hash"]
    assert again[label] == 3
    data = demo.get("controllerrevisions", label)["data"]
    assert data["spec"]["template"]["$patch"] == "replace"


def test_broken_stateful_pod_blocks_the_way_back_until_it_is_deleted():
    demo = Demo(CART)
    demo.cluster.deploy("shop", "cart", "5.1.0-crash")
    demo.go(20)
    demo.cluster.deploy("shop", "cart", "5.0.0")
    demo.go(60)
    stuck = [view for view in demo.cluster.pods("shop", "cart") if not view.ready]
    assert [(view.name, view.version) for view in stuck] == [("cart-2", "5.1.0-crash")]
    with demo.served() as caller:
        status, _, gone = caller.call("DELETE", "/api/v1/namespaces/shop/pods/cart-2", user="operator")
    assert (status, gone["metadata"]["deletionGracePeriodSeconds"]) == (200, 30)
    demo.go(20)
    assert all(view.ready and view.version == "5.0.0" for view in demo.cluster.pods("shop", "cart"))


def test_stateful_set_shrinks_from_the_end():
    demo = Demo(CART)
    with demo.cluster.lock:
        kind, old = demo.cluster.workload("shop", "cart")
        demo.cluster.write(kind, old, {**old, "spec": {**old["spec"], "replicas": 1}}, manager="test")
    demo.go(1)
    assert [view.name for view in demo.cluster.pods("shop", "cart") if view.ready] == ["cart-0", "cart-1"]
    demo.go(9)
    assert [view.name for view in demo.cluster.pods("shop", "cart")] == ["cart-0"]
