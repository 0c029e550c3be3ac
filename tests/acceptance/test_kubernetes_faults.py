"""A Kubernetes API that refuses, forgets, breaks and falls silent under a running server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.acceptance import Person, Quarterdeck, cluster, until
from tests.support.fake_kubernetes import FakeKubernetes, a_deployment, status_of
from tests.support.fake_prometheus import FakePrometheus
from tests.support.http_fake import Reply, Request

SERVER = "http_server_request_duration_seconds"
FORM = "/actions/new?kind=scale&cluster=demo&namespace=shop&workload=Deployment&name=order"
TARGET = {"kind": "scale", "cluster": "demo", "namespace": "shop", "workload": "Deployment", "name": "order"}


@pytest.fixture
def kubernetes() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as fake:
        fake.put("deployments", "order", **a_deployment())
        yield fake


@pytest.fixture(scope="module")
def prometheus() -> Iterator[FakePrometheus]:
    with FakePrometheus({f"{SERVER}_count": ("service", "namespace", "status_code", "job")}) as fake:
        row = {"qd": "0n", "service": "order", "namespace": "shop", "status_code": "200"}
        fake.on("_count[", [(row, 10.0)])
        yield fake


@pytest.fixture
def deck(kubernetes, prometheus, tmp_path) -> Iterator[Quarterdeck]:
    source = {"url": prometheus.url, "interval": "1s"}
    config = {"clusters": [cluster(prometheus=source, kubeconfig=kubernetes.kubeconfig(tmp_path))]}
    made = Quarterdeck(config, tmp_path)
    made.cast()
    yield made
    made.stop()
    assert "Traceback" not in made.log()


def source(person: Person) -> dict[str, object]:
    return next(
        one for one in person.api("/api/v1/topology")["freshness"] if one["source"] == "demo/kubernetes"
    )


def standing(person: Person, *wanted: str) -> dict[str, object]:
    return until(lambda: (one := source(person))["status"] in wanted and one, seconds=40)


def test_a_refused_token_is_named_actions_are_refused_and_a_renewed_one_is_taken(deck, kubernetes, tmp_path):
    deck.begin()
    alice = deck.person("alice")
    standing(alice, "ok")
    assert "2 replicas" in alice.read(FORM)
    answers = kubernetes.server.script

    def only_the_new_token(request: Request) -> Reply:
        if request.headers.get("authorization") == "Bearer renewed":
            return answers(request)
        return Reply(401, json.dumps(status_of(401)).encode())

    kubernetes.server.script = only_the_new_token
    kubernetes.end_streams()
    found = standing(alice, "refused")
    assert "renew" in found["error"]
    assert "refuses us" in alice.read("/settings/sources")
    assert "demo/kubernetes" in alice.read("/services/demo/shop/order")
    answer = alice.post("/actions", TARGET | {"replicas": "4", "reason": "x", "idempotency_key": "k" * 16})
    shown = alice.read(answer.headers["Location"])
    assert "Refused, nothing was changed" in shown
    assert "renew" in shown
    kubernetes.kubeconfig(tmp_path, token="renewed")
    standing(alice, "ok")
    assert deck.log().count("demo/kubernetes is refused") == 1
    assert deck.log().count("demo/kubernetes answers again") == 1


def test_a_silent_half_open_watch_and_an_expired_position_recover_by_themselves(deck, kubernetes):
    deck.begin()
    bob = deck.person("bob")
    standing(bob, "ok")
    kubernetes.forget("deployments", "order")
    kubernetes.put("deployments", "order", **a_deployment(replicas=3, ready=3))
    until(lambda: "3 of 3" in bob.read("/services/demo/shop/order"), seconds=30)
    for code in (429, 500):
        kubernetes.refuse("deployments", code, b"overloaded")
        kubernetes.end_streams()
        until(lambda code=code: str(code) in str(bob.api("/api/v1/topology")["notices"]), seconds=30)
        assert "Left out or doubtful" in bob.read("/settings/sources")
        kubernetes.allow("deployments")
        until(lambda: "Deployment" not in str(bob.api("/api/v1/topology")["notices"]), seconds=40)
    assert source(bob)["status"] == "ok"


def test_a_kubeconfig_that_is_missing_is_said_and_taken_when_it_comes(deck, kubernetes, tmp_path):
    file = tmp_path / "kubeconfig.yaml"
    kept = file.read_text()
    file.unlink()
    deck.begin()
    bob, alice = deck.person("bob"), deck.person("alice")
    found = standing(bob, "down")
    assert "kubeconfig.yaml" in found["error"]
    assert "cannot be used" in bob.read("/settings/sources")
    missing = alice.read(FORM, 404)
    assert "was never heard" in missing
    file.write_text(kept)
    standing(bob, "ok")
    until(lambda: alice.get(FORM).ok, seconds=20)
    assert "2 replicas" in alice.read(FORM)


def test_where_only_a_namespace_is_allowed_that_one_is_shown_and_the_rest_is_said(deck, kubernetes, tmp_path):
    kubernetes.kubeconfig(tmp_path, namespace="shop")
    said = 'deployments.apps is forbidden: User "reader" cannot list resource "deployments"'
    body = json.dumps(status_of(403, message=said)).encode()
    for path in ("/apis/apps/v1/deployments", "/api/v1/pods", "/apis/apps/v1/replicasets", "/api/v1/nodes"):
        kubernetes.refuse(path, 403, body)
    deck.begin()
    bob = deck.person("bob")
    standing(bob, "ok")
    until(lambda: "only namespace shop is watched" in bob.read("/settings/sources"), seconds=20)
    until(lambda: "2 of 2" in bob.read("/services/demo/shop/order"), seconds=20)


def test_a_certificate_that_does_not_fit_is_said(deck, kubernetes, tmp_path):
    file = tmp_path / "kubeconfig.yaml"
    file.write_text(file.read_text().replace("http://", "https://"))
    deck.begin()
    bob = deck.person("bob")
    found = standing(bob, "down")
    assert "SSL" in found["error"] or "cannot be" in found["error"]
    assert "Traceback" not in bob.read("/settings/sources")
