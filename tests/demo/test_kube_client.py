"""The official Python client against the simulated API."""

import json

import pytest
from kubernetes import client, config, watch

from demo import kube_config
from demo.seam import WorkloadSpec
from tests.support.demo_cluster import Demo

NAMES = ("cart", "gateway", "order", "payment", "search")


@pytest.fixture
def demo():
    return Demo(
        *(WorkloadSpec(name, "shop", replicas=3, version="1.2.0", previous=("1.1.0",)) for name in NAMES[1:]),
        WorkloadSpec("cart", "shop", kind="StatefulSet", replicas=2, version="5.0.0", min_available=1),
    )


@pytest.fixture
def caller(demo):
    with demo.served() as caller:
        yield caller


@pytest.fixture
def connect(caller, tmp_path):
    clients = []

    def as_user(user="admin"):
        path = tmp_path / f"{user}.yaml"
        kube_config.write(path, caller.server.url, f"token-{user}", ca=caller.server.ca)
        made = config.new_client_from_config(str(path))
        clients.append(made)
        return made

    yield as_user
    for made in clients:
        made.close()


def test_kubeconfig_is_for_its_owner_only(connect, tmp_path):
    connect()
    assert (tmp_path / "admin.yaml").stat().st_mode & 0o777 == 0o600


def test_typed_lists_of_every_kind_are_read(connect):
    api = connect()
    core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
    assert len(core.list_pod_for_all_namespaces().items) == 14
    assert [one.metadata.name for one in apps.list_deployment_for_all_namespaces().items] == list(NAMES[1:])
    assert len(apps.list_namespaced_replica_set("shop").items) == 8
    assert len(apps.list_namespaced_controller_revision("shop").items) == 1
    assert apps.read_namespaced_stateful_set("cart", "shop").status.ready_replicas == 2
    assert len(core.list_node().items) == 3
    assert len(core.list_namespaced_service("shop").items) == 5
    assert len(client.DiscoveryV1Api(api).list_namespaced_endpoint_slice("shop").items) == 5
    assert len(client.CoordinationV1Api(api).list_namespaced_lease("kube-node-lease").items) == 3
    assert (
        client.PolicyV1Api(api)
        .list_namespaced_pod_disruption_budget("shop")
        .items[0]
        .status.disruptions_allowed
        == 1
    )
    assert client.VersionApi(api).get_code().minor == "36"


def test_list_in_pages_has_one_position_and_counts_the_rest(connect, demo):
    core = client.CoreV1Api(connect())
    first = core.list_namespaced_pod("shop", limit=5)
    assert first.metadata.remaining_item_count == 9
    demo.cluster.deploy("shop", "order", "1.3.0")
    demo.go(30)
    names, page = [], first
    while True:
        assert page.metadata.resource_version == first.metadata.resource_version
        names += [pod.metadata.name for pod in page.items]
        if not page.metadata._continue:
            break
        page = core.list_namespaced_pod("shop", limit=5, _continue=page.metadata._continue)
    assert len(names) == len(set(names)) == 14
    assert not any(pod["metadata"]["name"] in names for pod in demo.pods("order"))


def test_selectors_choose(connect, demo):
    core = client.CoreV1Api(connect())
    assert (
        len(core.list_namespaced_pod("shop", label_selector="app in (order,search),app!=search").items) == 3
    )
    node = demo.pods("order")[0]["spec"]["nodeName"]
    chosen = core.list_namespaced_pod("shop", field_selector=f"spec.nodeName={node}").items
    assert chosen
    assert {pod.spec.node_name for pod in chosen} == {node}


def test_dry_run_of_a_patch_shows_the_next_generation_and_stores_nothing(connect, demo):
    apps = client.AppsV1Api(connect())
    before = apps.read_namespaced_deployment("order", "shop")
    body = {
        "spec": {
            "template": {"spec": {"containers": [{"name": "order", "image": "registry.example/order:9"}]}}
        }
    }
    shown = apps.patch_namespaced_deployment(
        "order", "shop", body, dry_run="All", field_manager="quarterdeck"
    )
    assert shown.spec.template.spec.containers[0].image == "registry.example/order:9"
    assert shown.metadata.generation == before.metadata.generation + 1
    assert shown.metadata.resource_version == before.metadata.resource_version
    assert apps.read_namespaced_deployment("order", "shop") == before
    scale = apps.patch_namespaced_deployment_scale("order", "shop", {"spec": {"replicas": 7}}, dry_run="All")
    assert (scale.spec.replicas, scale.status.replicas) == (7, 3)
    assert demo.get("deployments", "order")["spec"]["replicas"] == 3


def test_scale_with_a_stale_position_is_a_conflict(connect, demo):
    apps = client.AppsV1Api(connect())
    seen = apps.read_namespaced_deployment_scale("order", "shop")
    seen.spec.replicas = 4
    written = apps.replace_namespaced_deployment_scale("order", "shop", seen, field_manager="quarterdeck")
    assert written.spec.replicas == 4
    seen.spec.replicas = 5
    with pytest.raises(client.ApiException) as caught:
        apps.replace_namespaced_deployment_scale("order", "shop", seen)
    assert caught.value.status == 409
    assert json.loads(caught.value.body)["reason"] == "Conflict"
    assert demo.get("deployments", "order")["spec"]["replicas"] == 4
    (entry,) = [
        one
        for one in demo.get("deployments", "order")["metadata"]["managedFields"]
        if one["manager"] == "quarterdeck"
    ]
    assert entry["fieldsV1"] == {"f:spec": {"f:replicas": {}}}
    assert entry["subresource"] == "scale"
    demo.go(6)
    assert demo.get("deployments", "order")["status"]["readyReplicas"] == 4


def test_rollback_patch_with_guards_is_applied_once(connect, demo):
    apps = client.AppsV1Api(connect("operator"))
    old = next(
        one for one in demo.all("replicasets")
        if one["metadata"]["labels"]["app"] == "order" and not one["spec"]["replicas"]
    )  # fmt: skip
    deployment = demo.get("deployments", "order")["metadata"]
    patch = [
        {"op": "test", "path": "/metadata/uid", "value": deployment["uid"]},
        {"op": "test", "path": "/metadata/generation", "value": deployment["generation"]},
        {"op": "replace", "path": "/spec/template", "value": old["spec"]["template"]},
        {"op": "remove", "path": "/spec/template/metadata/labels/pod-template-hash"},
        {
            "op": "add",
            "path": "/metadata/annotations/kubernetes.io~1change-cause",
            "value": "quarterdeck: back",
        },
    ]
    apps.patch_namespaced_deployment("order", "shop", patch, field_manager="quarterdeck")
    demo.go(20)
    again = demo.get("replicasets", old["metadata"]["name"])
    assert again["status"]["readyReplicas"] == 3
    assert again["metadata"]["annotations"]["kubernetes.io/change-cause"] == "quarterdeck: back"
    with pytest.raises(client.ApiException) as caught:
        apps.patch_namespaced_deployment("order", "shop", patch)
    assert caught.value.status == 422


def test_watch_follows_a_scale(connect, demo):
    apps = client.AppsV1Api(connect())
    start = apps.list_namespaced_deployment("shop", limit=1).metadata.resource_version
    apps.patch_namespaced_deployment_scale("order", "shop", {"spec": {"replicas": 4}})
    demo.go(6)
    seen = []
    stream = watch.Watch().stream(
        apps.list_namespaced_deployment, "shop", resource_version=start, timeout_seconds=1,
        field_selector="metadata.name=order",
    )  # fmt: skip
    for event in stream:
        seen.append((event["type"], event["object"].status.ready_replicas))
    assert seen[0] == ("MODIFIED", 3)
    assert seen[-1] == ("MODIFIED", 4)


def test_operator_may_scale_and_viewer_may_not(connect):
    def may(user):
        review = client.V1SelfSubjectAccessReview(
            spec=client.V1SelfSubjectAccessReviewSpec(
                resource_attributes=client.V1ResourceAttributes(
                    namespace="shop", verb="patch", group="apps", resource="deployments", subresource="scale"
                )
            )
        )
        return client.AuthorizationV1Api(connect(user)).create_self_subject_access_review(review).status

    assert may("operator").allowed
    assert "quarterdeck-operator" in may("operator").reason
    assert not may("viewer").allowed
    assert not may("nobody").allowed
    with pytest.raises(client.ApiException) as caught:
        client.AppsV1Api(connect("viewer")).patch_namespaced_deployment_scale(
            "order", "shop", {"spec": {"replicas": 1}}
        )
    assert caught.value.status == 403
    client.CoreV1Api(connect("viewer")).list_node()


def test_evicted_pod_is_replaced_and_the_budget_holds_the_next_one(connect, demo):
    core = client.CoreV1Api(connect("operator"))

    def evict(name):
        body = client.V1Eviction(metadata=client.V1ObjectMeta(name=name, namespace="shop"))
        core.create_namespaced_pod_eviction(name, "shop", body)

    evict("cart-0")
    with pytest.raises(client.ApiException) as caught:
        evict("cart-1")
    assert caught.value.status == 429
    demo.go(10)
    assert all(view.ready for view in demo.cluster.pods("shop", "cart"))
    assert len(demo.cluster.pods("shop", "cart")) == 2


def test_deployment_is_created_and_deleted_with_what_it_owns(connect, demo):
    apps = client.AppsV1Api(connect())
    labels = {"app": "new"}
    container = client.V1Container(name="new", image="registry.example/new:1")
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
    )
    spec = client.V1DeploymentSpec(
        replicas=2, selector=client.V1LabelSelector(match_labels=labels), template=template
    )
    apps.create_namespaced_deployment(
        "shop", client.V1Deployment(metadata=client.V1ObjectMeta(name="new"), spec=spec)
    )
    demo.go(6)
    assert apps.read_namespaced_deployment("new", "shop").status.ready_replicas == 2
    assert apps.read_namespaced_deployment("new", "shop").spec.progress_deadline_seconds == 600
    apps.delete_namespaced_deployment("new", "shop", propagation_policy="Foreground")
    assert apps.read_namespaced_deployment("new", "shop").metadata.deletion_timestamp
    demo.go(6)
    assert demo.pods("new") == []
    with pytest.raises(client.ApiException) as caught:
        apps.read_namespaced_deployment("new", "shop")
    assert caught.value.status == 404
