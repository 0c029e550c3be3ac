from __future__ import annotations

import pytest

from app.model.inventory import Inventory
from app.understand.workloads import Workloads, image_version, owner_label, versions
from tests.support.fleets import kube_service, pod, revision, workload


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("registry.example:5000/shop/order:v43", "v43"),
        ("order:1.2.3", "1.2.3"),
        ("order", "latest"),
        ("registry.example:5000/order", "latest"),
        ("order@sha256:0123456789abcdef0123", "sha256:0123456789ab"),
        ("order:v1@sha256:0123456789abcdef", "v1"),
    ],
)
def test_the_version_of_an_image_is_its_tag(image, version):
    assert image_version(image) == version


def test_after_a_rollback_the_revision_with_the_highest_number_is_the_newest():
    order = workload("order", version="v42")
    found = Workloads(
        Inventory(
            workloads=(order,), revisions=(revision(order, "v43", 8), revision(order, "v42", 9, replicas=2))
        )
    )
    assert versions(order, found.revisions[order.uid]) == ("v42",)


def test_a_pod_belongs_to_the_owner_of_its_replica_set_by_uid_alone():
    order, other = workload("order"), workload("order-7d9")
    rs = revision(order, "v1", 1)
    found = Workloads(Inventory(workloads=(order, other), revisions=(rs,)))
    assert found.of_pod(pod(other, rs=rs)) is order
    assert found.of_pod(pod(other)) is other
    assert found.of_pod(pod(workload("gone"))) is None


def test_a_kube_service_that_selects_two_workloads_leads_to_the_one_of_its_name():
    pair = [workload("order", selector=(("app", "o"),)), workload("order-canary", selector=(("app", "o"),))]
    found = Workloads(Inventory(workloads=tuple(pair)))
    assert found.behind(kube_service("order", app="o")) is pair[0]
    assert found.behind(kube_service("anything", app="o")) is None


def test_the_owner_is_the_team_before_the_application():
    labels = (("app.kubernetes.io/part-of", "shop"), ("team", "team-pay"))
    assert owner_label(workload("order", labels=labels)) == "team-pay"
    assert owner_label(workload("order")) is None
