"""The scale action against the simulated Kubernetes API of the demo, over its real HTTP and HTTPS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app import act, clock
from app.act.record import load as load_action
from app.config import Cluster, Config, KubeAccess, Kubernetes, load
from app.errors import ActionConflict
from app.model.action import ActionState, Target
from app.store.actions import ActionRow
from app.store.engine import Store
from demo import kube, kube_config
from demo.cluster import Cluster as DemoCluster
from demo.seam import WorkloadSpec
from tests.support.acting import ALICE, ERIN

S = ActionState


@dataclass
class Demo:
    cluster: DemoCluster
    config: Config
    store: Store
    now: float

    def live(self, seconds: float) -> None:
        """Let the cluster live on for so long, in steps of a second."""
        for _ in range(int(seconds)):
            self.now += 1
            self.cluster.step(self.now)

    def propose(self, name: str, replicas: int, kind: str = "Deployment") -> ActionRow:
        target = Target("demo", "shop", kind, name)
        return act.propose(self.store, self.config, ERIN, "scale", target, {"replicas": replicas}, "load")

    def execute(self, row: ActionRow) -> ActionRow:
        return act.execute(
            self.store, self.config, ALICE, row.id, row.plan_hash or "", confirm=row.target.name
        )

    def ready(self, name: str) -> int:
        return len([pod for pod in self.cluster.pods("shop", name) if pod.ready])


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    specs = [
        WorkloadSpec("order", "shop", replicas=3, image="shop/order"),
        WorkloadSpec("cart", "shop", kind="StatefulSet", replicas=2, image="shop/cart"),
        WorkloadSpec("gateway", "shop", replicas=3, image="shop/gateway", autoscale=(2, 6)),
    ]
    cluster = DemoCluster(specs, seed=1, clock=time.time)
    api = kube.serve(cluster, "127.0.0.1", 0, {"token-of-operator": "operator", "token-of-viewer": "viewer"})
    kubeconfig = tmp_path / "kubeconfig.yaml"
    kube_config.write(kubeconfig, api.url, "token-of-operator", ca=api.ca)
    config = replace(
        load(None, state_dir=tmp_path),
        clusters=(Cluster(name="demo", kubernetes=Kubernetes(act=KubeAccess(kubeconfig=kubeconfig))),),
    )
    store = Store("sqlite:///store.db", tmp_path)
    store.migrate()
    made = Demo(cluster, config, store, 0.0)
    cluster.step(made.now)
    yield made
    api.stop()
    store.dispose()


@pytest.mark.parametrize(
    ("name", "kind", "before", "after"),
    [("order", "Deployment", 3, 6), ("cart", "StatefulSet", 2, 3), ("order", "Deployment", 3, 2)],
)
def test_a_workload_of_the_demo_is_scaled_and_followed_until_it_is_rolled_out(
    demo: Demo, name, kind, before, after
):
    row = demo.propose(name, after, kind)
    assert (row.state, row.message) == (S.PLANNED, f"Scale {name} from {before} to {after} replicas")
    assert demo.ready(name) == before
    row = demo.execute(row)
    assert row.state is S.VERIFYING
    for _ in range(30):
        demo.live(5)
        act.follow_all(demo.store, demo.config)
    row = load_action(demo.store, row.id)
    assert demo.ready(name) == after
    assert row.rolled_out_at is not None
    assert row.state is S.VERIFYING  # nobody watches its traffic here, so there is no verdict


def test_the_same_number_is_shown_to_everybody_and_signed_with_our_name(demo: Demo):
    demo.execute(demo.propose("order", 6))
    _, found = demo.cluster.workload("shop", "order")
    assert found["spec"]["replicas"] == 6
    entry = next(entry for entry in found["metadata"]["managedFields"] if entry.get("subresource") == "scale")
    assert entry["manager"] == "quarterdeck"


def test_a_release_in_between_is_no_conflict_but_another_number_is(demo: Demo):
    row = demo.propose("order", 4)
    demo.cluster.deploy("shop", "order", "2.0.0")
    demo.live(2)
    assert demo.execute(row).state is S.VERIFYING
    row = demo.propose("cart", 3, "StatefulSet")
    kind, old = demo.cluster.workload("shop", "cart")
    demo.cluster.write(kind, old, {**old, "spec": {**old["spec"], "replicas": 5}}, manager="kubectl")
    with pytest.raises(ActionConflict, match="review again"):
        demo.execute(row)


def test_the_autoscaler_of_the_demo_is_seen(demo: Demo):
    row = demo.propose("gateway", 4)
    assert row.plan is not None
    assert row.plan.forecast[0].sticks is False
    assert "minReplicas" in row.plan.forecast[0].why


def test_an_account_without_the_right_is_told_which_role_is_missing(demo: Demo, tmp_path: Path):
    (cluster,) = demo.config.clusters
    path = tmp_path / "viewer.yaml"
    text = (tmp_path / "kubeconfig.yaml").read_text().replace("token-of-operator", "token-of-viewer")
    path.write_text(text)
    kubernetes = Kubernetes(act=KubeAccess(kubeconfig=path))
    demo.config = replace(demo.config, clusters=(replace(cluster, kubernetes=kubernetes),))
    row = demo.propose("order", 4)
    assert row.state is S.REFUSED
    assert "resources: [deployments/scale]" in row.message


def test_a_workload_that_is_not_there_is_said_to_be_gone(demo: Demo):
    row = demo.propose("nobody", 4)
    assert row.state is S.REFUSED
    assert "gone" in row.message
    assert clock.now() >= row.created_at
