"""A fleet whose names attack whoever shows them: every page and answer holds them inert, cut and linkable."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import quote

import pytest
import requests

from app import clock
from tests.support.acceptance import Person, Quarterdeck, cluster, until
from tests.support.fake_kubernetes import FakeKubernetes, a_deployment
from tests.support.fake_prometheus import FakePrometheus
from tests.support.spans import CLIENT, PROTOBUF, SERVER, S, body

METRIC = "http_server_request_duration_seconds"
LABELS = ("service", "namespace", "version", "status_code", "job")
NAMES = [
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</script><script>alert(1)</script>",
    "{{7*7}}${7*7}",
    "javascript:alert(1)",
    "a/b:c>d%2Fe?f#g h&i=j",
    "..",
    "🛒 кошик \u202egnp.exe",
    "bell\x07null\x01line\nbreak",
    "w" * 10_000,
]
NAMESPACE = "<u>ns</u>/x"
DANGER = ("<img src=x", "<svg onload", "<script>alert", "alert(1)</script>", "<u>ns", "<b>event")


@pytest.fixture(scope="module")
def deck(tmp_path_factory) -> Iterator[Quarterdeck]:
    directory = tmp_path_factory.mktemp("hostile")
    with FakePrometheus({f"{METRIC}_count": LABELS}) as prometheus, FakeKubernetes() as kubernetes:
        rows = [
            (
                {"qd": "0n", "service": name, "namespace": NAMESPACE, "version": name, "status_code": "500"},
                9.0,
            )
            for name in NAMES
        ]
        calm = {"qd": "0n", "service": "order", "namespace": "shop", "version": "1", "status_code": "200"}
        prometheus.on("_count[", [*rows, (calm, 5.0)])
        image = 'registry.example/order:"><svg onload=alert(1)>'
        kubernetes.put("deployments", "order", **a_deployment(image=image))
        parts = cluster(
            prometheus={"url": prometheus.url, "interval": "1s"}, kubeconfig=kubernetes.kubeconfig(directory)
        )
        made = Quarterdeck({"clusters": [parts]}, directory)
        made.cast()
        made.begin()
        alice = made.person("alice")
        spans = [
            S("order", SERVER, id=10 + i, trace=i + 1, resource={"service.namespace": "shop"})
            for i in range(len(NAMES))
        ] + [
            S(
                "order",
                CLIENT,
                id=100 + i,
                parent=10 + i,
                trace=i + 1,
                attributes={
                    "db.system.name": "postgresql",
                    "server.address": f"db-{name}",
                    "server.port": 5432,
                },
            )
            for i, name in enumerate(NAMES)
        ]
        headers = {"Content-Type": PROTOBUF}
        answer = requests.post(
            f"{made.url}/v1/traces", body(*spans, now=clock.now()), headers=headers, timeout=10
        )
        assert answer.status_code == 200
        until(
            lambda: len(n := alice.api("/api/v1/topology")["nodes"]) >= 2 * len(NAMES) - 1 and n, seconds=30
        )
        until(lambda: alice.get("/api/v1/workloads/demo/shop/Deployment/order").ok, seconds=30)
        yield made
        made.stop()
        assert "Traceback" not in made.log()


@pytest.fixture(scope="module")
def alice(deck) -> Person:
    return deck.person("alice")


def inert(html: str) -> None:
    """No hostile text became markup, a template's value or a link that runs."""
    for danger in DANGER:
        assert danger not in html, danger
    assert not re.search(r"""(?:href|src|action)=["']?\s*javascript:""", html, re.IGNORECASE)
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f]", html)
    assert "w" * 700 not in html


PAGES = [
    "/",
    "/?group=namespace",
    "/topology",
    "/topology?view=table",
    "/search?q=a",
    "/search?q=%3Cimg",
    "/settings/sources",
    "/services/demo/shop/order",
    "/services/demo/shop/order/pods",
    "/actions/new?kind=scale&cluster=demo&namespace=shop&workload=Deployment&name=order",
    "/actions",
    "/audit",
]


@pytest.mark.parametrize("path", PAGES)
def test_pages_show_them_inert(alice, path):
    inert(alice.page(path))


def test_every_link_of_the_fleet_and_the_table_leads_to_its_node(alice):
    for page in ("/", "/topology?view=table"):
        html = alice.page(page)
        links = {unescape(one) for one in re.findall(r'href="((?:/services/|/nodes\?)[^"]*)"', html)}
        assert len(links) > len(NAMES)
        for link in links:
            inert(alice.page(link))


def test_ids_survive_addresses_of_the_api_and_fragments(alice):
    nodes = alice.api("/api/v1/topology")["nodes"]
    services = [node for node in nodes if node["kind"] == "service"]
    assert len(services) == len(NAMES) + 1
    for node in nodes:
        coded = quote(node["id"], safe="")
        assert alice.api(f"/api/v1/nodes?id={coded}")["id"] == node["id"]
        inert(alice.page(f"/fragments/node-panel?id={coded}"))
        inert(alice.page(f"/topology?focus={coded}"))
    for node in services:
        coded = quote(node["id"], safe="")
        assert alice.api(f"/api/v1/services/{coded}")["id"] == node["id"]
        assert alice.get(f"/api/v1/services/{coded}/series").status_code == 200


def test_json_for_scripts_cannot_end_its_element(alice):
    html = alice.page("/topology")
    for block in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL):
        assert "<" not in block


def test_answers_of_the_api_are_data_and_nothing_else(alice):
    for path in (
        "/api/v1/topology",
        "/api/v1/topology?view=map",
        "/api/v1/topology?format=columnar",
        "/api/v1/services",
    ):
        answer = alice.get(path)
        assert answer.status_code == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Type"].startswith("application/json")


def test_reason_typed_into_the_dialog_stays_text(alice):
    target = {
        "kind": "scale",
        "cluster": "demo",
        "namespace": "shop",
        "workload": "Deployment",
        "name": "order",
    }
    for reason in NAMES[:4]:
        answer = alice.post(
            "/actions", target | {"replicas": "x", "reason": reason, "idempotency_key": "c" * 32}
        )
        assert answer.status_code == 422
        inert(answer.text)
