"""The autoscaler against people who scale by hand, and against load that goes."""

from demo.seam import WorkloadSpec
from tests.support.demo_cluster import Demo, Load

CATALOG = WorkloadSpec("catalog", "shop", replicas=3, version="1.9.0", autoscale=(3, 6))
SCALE = "/apis/apps/v1/namespaces/shop/deployments/catalog/scale"


def replicas(demo):
    return demo.get("deployments", "catalog")["spec"]["replicas"]


def condition(demo, name):
    conditions = demo.get("horizontalpodautoscalers", "catalog")["status"]["conditions"]
    return next((one["status"], one["reason"]) for one in conditions if one["type"] == name)


def demo_with(share):
    demo = Demo(CATALOG)
    load = Load(share)
    demo.cluster.attach(load)
    demo.go(31)
    return demo, load


def test_load_near_the_target_changes_nothing():
    demo, _ = demo_with(0.70)
    assert replicas(demo) == 3
    status = demo.get("horizontalpodautoscalers", "catalog")["status"]
    assert status["currentMetrics"][0]["resource"]["current"] == {
        "averageValue": "175m",
        "averageUtilization": 70,
    }
    assert condition(demo, "AbleToScale") == ("True", "ReadyForNewScale")
    assert condition(demo, "ScalingActive") == ("True", "ValidMetricFound")


def test_high_load_scales_up_to_the_maximum_and_says_that_it_is_limited():
    demo, load = demo_with(0.70)
    load.share = 1.8
    demo.go(31)
    assert replicas(demo) == 6
    assert condition(demo, "ScalingLimited") == ("True", "TooManyReplicas")
    owner = demo.get("deployments", "catalog")["metadata"]["managedFields"][0]
    assert (owner["manager"], owner["subresource"]) == ("kube-controller-manager", "scale")
    assert "time" not in owner


def test_manual_scale_below_the_minimum_is_put_back_within_a_sync():
    demo, _ = demo_with(0.70)
    with demo.served() as caller:
        status, _, scale = caller.merge(f"{SCALE}?fieldManager=quarterdeck", {"spec": {"replicas": 2}})
    assert (status, scale["spec"]["replicas"], scale["status"]["replicas"]) == (200, 2, 3)
    assert replicas(demo) == 2
    demo.go(15.5)
    assert replicas(demo) == 3


def test_scale_down_waits_for_the_stabilisation_window():
    demo, load = demo_with(0.70)
    load.share = 1.8
    demo.go(31)
    load.share = 0.2
    demo.go(120)
    assert replicas(demo) == 6
    assert condition(demo, "AbleToScale") == ("True", "ScaleDownStabilized")
    demo.go(240)
    assert replicas(demo) == 3
    assert condition(demo, "ScalingLimited") == ("True", "TooFewReplicas")


def test_scale_to_zero_switches_it_off_and_leaves_nobody_as_owner():
    demo, _ = demo_with(0.70)
    with demo.served() as caller:
        _, _, scale = caller.merge(SCALE, {"spec": {"replicas": 0}})
        assert scale["spec"] == {}
        demo.go(16)
        assert replicas(demo) == 0
        assert condition(demo, "ScalingActive") == ("False", "ScalingDisabled")
        caller.merge(f"{SCALE}?fieldManager=quarterdeck", {"spec": {"replicas": 3}})
    entries = demo.get("deployments", "catalog")["metadata"]["managedFields"]
    assert all("f:replicas" not in entry["fieldsV1"].get("f:spec", {}) for entry in entries)
    demo.go(16)
    assert replicas(demo) == 3


def test_target_that_is_not_there_is_said():
    demo = Demo(CATALOG)
    spec = demo.get("horizontalpodautoscalers", "catalog")["spec"]
    orphan = {**spec, "scaleTargetRef": {"kind": "Deployment", "name": "nope", "apiVersion": "apps/v1"}}
    demo.make(
        "horizontalpodautoscalers", {"metadata": {"name": "orphan", "namespace": "shop"}, "spec": orphan}
    )
    demo.go(16)
    able = demo.get("horizontalpodautoscalers", "orphan")["status"]["conditions"][0]
    assert (able["status"], able["reason"]) == ("False", "FailedGetScale")
    assert able["message"].endswith('deployments.apps "nope" not found')
