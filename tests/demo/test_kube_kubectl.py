"""kubectl as a program against the simulated API; the words and exit codes are the recorded ones."""

import shutil
import subprocess

import pytest

from demo import kube_config
from demo.seam import WorkloadSpec
from tests.support.demo_cluster import Demo

ORDER = WorkloadSpec("order", "shop", replicas=3, version="1.2.0", previous=("1.1.0",), min_available=2)
CART = WorkloadSpec("cart", "shop", kind="StatefulSet", replicas=2, version="5.1.0", previous=("5.0.0",))


@pytest.fixture(scope="module", autouse=True)
def program():
    if shutil.which("kubectl") is None:
        pytest.fail("kubectl is missing: apt-get install kubernetes-client")


@pytest.fixture
def demo():
    return Demo(ORDER, CART)


@pytest.fixture
def kubectl(demo, tmp_path):
    with demo.served() as caller:

        def run(*words, user="admin", code=0, timeout=60):
            path = tmp_path / f"{user}.yaml"
            kube_config.write(path, caller.server.url, f"token-{user}", ca=caller.server.ca)
            done = subprocess.run(
                ["kubectl", *words],
                env={"KUBECONFIG": str(path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
            assert done.returncode == code, (done.stdout, done.stderr)
            return done.stdout if code == 0 else done.stderr

        yield run


def test_get_prints_tables(kubectl, demo):
    lines = kubectl("get", "deployments").splitlines()
    assert lines[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert lines[1].split() == ["order", "3/3", "3", "3", "5d"]
    wide = kubectl("get", "pods", "-o", "wide").splitlines()
    assert wide[0].split()[:7] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"]
    assert len(wide) == 6
    everything = kubectl("get", "all")
    for name in (
        "pod/cart-0",
        "service/order",
        "deployment.apps/order",
        "replicaset.apps/order-",
        "statefulset.apps/",
    ):
        assert name in everything
    assert "node-01" in kubectl("get", "nodes")
    demo.cluster.deploy("shop", "order", "1.3.0")
    demo.go(1)
    assert "ScalingReplicaSet" in kubectl("get", "events", "--sort-by=.lastTimestamp")


def test_get_as_json_has_kind_and_version(kubectl):
    shown = kubectl(
        "get", "deployment", "order", "-o", "jsonpath={.kind} {.apiVersion} {.status.readyReplicas}"
    )
    assert shown == "Deployment apps/v1 3"
    assert kubectl("get", "pods", "-o", "name").count("pod/order-") == 3


def test_scale_waits_to_be_rolled_out(kubectl, demo):
    assert kubectl("scale", "deployment/order", "--replicas=5") == "deployment.apps/order scaled\n"
    with demo.alive():
        assert "successfully rolled out" in kubectl("rollout", "status", "deployment/order", "--timeout=30s")
    assert "5/5" in kubectl("get", "deployment", "order")
    assert "was 5" in kubectl("scale", "deployment/order", "--current-replicas=9", "--replicas=2", code=1)
    assert kubectl("scale", "statefulset/cart", "--replicas=3") == "statefulset.apps/cart scaled\n"


def test_release_and_undo_leave_the_recorded_history(kubectl, demo):
    with demo.alive():
        kubectl("set", "image", "deployment/order", "order=registry.example/order:1.3.0")
        assert "successfully rolled out" in kubectl("rollout", "status", "deployment/order", "--timeout=60s")
        assert kubectl("rollout", "undo", "deployment/order") == "deployment.apps/order rolled back\n"
        kubectl("rollout", "status", "deployment/order", "--timeout=60s")
    numbers = [
        line.split()[0] for line in kubectl("rollout", "history", "deployment/order").splitlines()[2:] if line
    ]
    assert numbers == ["1", "3", "4"]
    assert "order:1.2.0" in kubectl("rollout", "history", "deployment/order", "--revision=4")
    refused = kubectl("rollout", "undo", "deployment/order", "--to-revision=99", code=1)
    assert "unable to find specified revision 99 in history" in refused


def test_stuck_release_is_reported_at_its_deadline(kubectl, demo):
    kubectl("patch", "deployment", "order", "-p", '{"spec":{"progressDeadlineSeconds":20}}')
    kubectl("set", "image", "deployment/order", "order=registry.example/order:1.3.0-crash")
    demo.go(25)
    assert "CrashLoopBackOff" in kubectl("get", "pods")
    said = kubectl("rollout", "status", "deployment/order", "--timeout=5s", code=1)
    assert 'deployment "order" exceeded its progress deadline' in said


def test_restart_and_describe(kubectl, demo):
    with demo.alive():
        assert kubectl("rollout", "restart", "deployment/order") == "deployment.apps/order restarted\n"
        kubectl("rollout", "status", "deployment/order", "--timeout=60s")
    told = kubectl("describe", "deployment", "order")
    assert "NewReplicaSetAvailable" in told
    assert "kubectl.kubernetes.io/restartedAt" in told
    assert "ScalingReplicaSet" in told
    assert "Successfully assigned shop/order-" in kubectl("describe", "pods", "-l", "app=order")


def test_pause_refuses_undo_and_restart(kubectl, demo):
    kubectl("rollout", "pause", "deployment/order")
    assert "resume it first" in kubectl("rollout", "undo", "deployment/order", code=1)
    assert "paused" in kubectl("rollout", "restart", "deployment/order", code=1)
    kubectl("rollout", "resume", "deployment/order")
    assert "paused" not in demo.get("deployments", "order")["spec"]


def test_stateful_set_is_undone_one_pod_at_a_time(kubectl, demo):
    kubectl("rollout", "undo", "statefulset/cart")
    demo.go(1)
    assert demo.get("statefulsets", "cart")["spec"]["template"]["spec"]["containers"][0]["image"].endswith(
        ":5.0.0"
    )
    with demo.alive():
        said = kubectl("rollout", "status", "statefulset/cart", "--timeout=60s")
    assert "partitioned roll out complete: 2 new pods have been updated" in said
    numbers = [
        line.split()[0] for line in kubectl("rollout", "history", "statefulset/cart").splitlines()[2:] if line
    ]
    assert numbers == ["2", "3"]


def test_watch_prints_changes(kubectl, demo, tmp_path):
    process = subprocess.Popen(
        ["kubectl", "get", "pods", "-w", "-l", "app=order", f"--kubeconfig={_config(kubectl, tmp_path)}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        lines = [process.stdout.readline() for _ in range(4)]
        with demo.alive():
            demo.cluster.deploy("shop", "order", "1.3.0")
            while not any("ContainerCreating" in line for line in lines):
                lines.append(process.stdout.readline())
                assert len(lines) < 40
    finally:
        process.kill()
        process.communicate()
    assert lines[0].split()[0] == "NAME"
    assert sum(line.startswith("NAME") for line in lines) == 1


def test_three_kinds_of_patch(kubectl, demo):
    kubectl("patch", "deployment", "order", "-p", '{"metadata":{"annotations":{"a":"strategic"}}}')
    kubectl("patch", "deployment", "order", "--type=merge", "-p", '{"spec":{"minReadySeconds":1}}')
    kubectl(
        "patch",
        "deployment",
        "order",
        "--type=json",
        "-p",
        '[{"op":"remove","path":"/spec/minReadySeconds"}]',
    )
    order = demo.get("deployments", "order")
    assert order["metadata"]["annotations"]["a"] == "strategic"
    assert "minReadySeconds" not in order["spec"]


def test_applied_file_is_created_changed_and_deleted(kubectl, demo, tmp_path):
    file = tmp_path / "web.yaml"
    text = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "registry.example/web:1"}]}
"""
    file.write_text(text)
    assert kubectl("apply", "-f", str(file)) == "deployment.apps/web created\n"
    demo.go(5)
    assert kubectl("apply", "-f", str(file)) == "deployment.apps/web unchanged\n"
    file.write_text(text.replace("web:1", "web:2"))
    assert kubectl("apply", "-f", str(file)) == "deployment.apps/web configured\n"
    with demo.alive():
        kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        assert "deleted" in kubectl("delete", "-f", str(file))
    demo.go(10)
    assert demo.pods("web") == []


def test_deleted_pod_is_replaced(kubectl, demo):
    name = demo.pods("order")[0]["metadata"]["name"]
    with demo.alive():
        assert kubectl("delete", "pod", name) == f'pod "{name}" deleted\n'
    demo.go(5)
    assert name not in kubectl("get", "pods")
    assert sum(view.ready for view in demo.cluster.pods("shop", "order")) == 3


def test_rights_are_told_and_kept(kubectl):
    assert kubectl("auth", "can-i", "patch", "deployments/scale", user="operator") == "yes\n"
    kubectl("auth", "can-i", "delete", "pods", user="viewer", code=1)
    assert "pods/eviction" in kubectl("auth", "can-i", "--list", user="operator")
    refused = kubectl("scale", "deployment/order", "--replicas=2", user="viewer", code=1)
    assert 'User "viewer" cannot patch resource "deployments/scale"' in refused
    assert "operator" in kubectl("auth", "whoami", user="operator")
    assert "must be logged in" in kubectl("get", "pods", user="bad", code=1)


def test_drained_node_gets_no_pods_until_it_is_uncordoned(kubectl, demo):
    with demo.alive():
        kubectl("drain", "node-01", "--ignore-daemonsets", "--timeout=60s", "--pod-selector=app=order")
    assert "SchedulingDisabled" in kubectl("get", "node", "node-01")
    demo.go(10)
    assert all(view.node != "node-01" for view in demo.cluster.pods("shop", "order"))
    kubectl("uncordon", "node-01")
    assert "SchedulingDisabled" not in kubectl("get", "node", "node-01")


def _config(kubectl, tmp_path):
    kubectl("version")
    return tmp_path / "admin.yaml"
