"""The main job on the running product: a surge breaks order, one form scales it, and everybody sees that it helped."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.support.acceptance import Person, Stack, running, until

TARGET = {"kind": "scale", "cluster": "demo", "namespace": "shop", "workload": "Deployment", "name": "order"}
FORM = "/actions/new?" + "&".join(f"{name}={value}" for name, value in TARGET.items())
SERVED = "sum by (service) (rate(http_server_request_duration_seconds_count[1m]))"
STORED = "sum by (server_address) (rate(db_client_operation_duration_seconds_count[1m]))"


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("scenario")) as made:
        yield made
        assert "Traceback" not in made.deck.log()


@pytest.fixture(scope="module")
def alice(stack) -> Person:
    return stack.deck.person("alice")


def _fields(html: str) -> dict[str, str]:
    return dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', html))


def _agree(stack: Stack, alice: Person) -> bool:
    """Whether every service and store has PromQL's rate within 5 %, both read at the same time."""
    nodes = alice.api("/api/v1/topology")["nodes"]
    asked = {name: rate for (name,), rate in stack.prometheus.ask(SERVED).items()}
    shown = {node["name"]: node["rps"] for node in nodes if node["kind"] == "service"}
    stores = {address: rate for (address,), rate in stack.prometheus.ask(STORED).items()}
    for node in nodes:
        address = node["name"].partition("@")[2].rpartition(":")[0]
        if address in stores:
            asked[address], shown[address] = stores[address], node["rps"]
    assert set(asked) <= set(shown)
    assert len(asked) == 11 + len(stores)
    return all(abs(shown[name] - rate) <= 0.05 * rate for name, rate in asked.items())


def test_the_map_shows_stores_and_rates_as_prometheus_counts_them(stack, alice):
    engines = {"postgresql", "redis", "elasticsearch", "kafka"}
    nodes = until(
        lambda: (
            (found := alice.api("/api/v1/topology")["nodes"])
            and engines <= {re.split("[@/]", node["name"])[0] for node in found}
            and found
        ),
        seconds=60,
    )
    assert len([node for node in nodes if node["kind"] == "service"]) == 11
    until(lambda: _agree(stack, alice), seconds=90)


@pytest.mark.timeout(400)
def test_a_surge_is_seen_scaled_away_from_the_page_and_judged(stack, alice):
    stack.fleet.scenario("traffic-surge")
    onset = time.monotonic()
    until(lambda: stack.status(alice, "order") in ("degraded", "failing"), seconds=60)
    until(lambda: stack.status(alice, "order") == "failing", seconds=75)
    assert time.monotonic() - onset < 75  # a minute of model time, and the windows behind it
    assert "order is failing" in alice.read("/services/demo/shop/order")
    assert "order" in alice.read("/").split("11 services")[0]
    location = _scale_by_form(alice)
    after = alice.api(f"/api/v1{location}")
    assert after["state"] in ("executing", "verifying")
    until(lambda: alice.api(f"/api/v1{location}")["state"] == "succeeded", seconds=200)
    shown = alice.read(location)
    assert "Succeeded" in shown
    assert "recovered within" in shown
    audit = alice.read("/audit")
    for word in ("scale.planned", "scale.rolled-out", "alice"):
        assert word in audit or word.split(".")[0] in audit
    command = [
        "kubectl",
        "--kubeconfig",
        str(stack.fleet.kubeconfig),
        "-n",
        "shop",
        "get",
        "deployment",
        "order",
    ]
    done = subprocess.run([*command, "-o", "json"], capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(done.stdout)["spec"]["replicas"] == 8
    until(lambda: stack.status(alice, "order") == "healthy", seconds=60)


def _scale_by_form(alice: Person) -> str:
    """Plan and confirm as a browser without scripts does; the address of the action."""
    fields = _fields(alice.page(FORM)) | {"replicas": "8", "reason": "the surge"}
    planned = alice.post("/actions", fields)
    assert planned.status_code == 303
    location = planned.headers["Location"]
    twice = alice.post("/actions", fields)
    assert twice.headers["Location"] == location
    confirm = _fields(alice.page(location)) | {"confirm": "order"}
    wrong = alice.post(f"{location}/execute", confirm | {"confirm": "ordre"})
    assert wrong.status_code == 422
    assert alice.post(f"{location}/execute", confirm).status_code == 303
    assert alice.post(f"{location}/execute", confirm).status_code == 409
    return location


def test_prometheus_killed_and_started_again_is_stale_then_well(stack, alice):
    until(lambda: stack.source(alice, "prometheus")["status"] == "ok", seconds=30)
    log = stack.deck.log()
    stack.prometheus.kill()
    until(lambda: stack.source(alice, "prometheus")["status"] == "down", seconds=30)
    until(lambda: stack.status(alice, "order") == "unknown", seconds=40)
    fleet = alice.read("/")
    assert "11 unknown" in fleet
    assert "Connection refused" in fleet
    assert "nothing is known of" in alice.read("/topology")
    stack.prometheus.begin()
    until(lambda: stack.source(alice, "prometheus")["status"] == "ok", seconds=60)
    until(lambda: stack.status(alice, "order") != "unknown", seconds=60)
    new = stack.deck.log().removeprefix(log)
    assert new.count("demo/prometheus is ") == 1
    assert new.count("demo/prometheus answers again") == 1


def test_the_past_is_frozen_in_any_zone_and_the_future_is_empty(stack, alice):
    at = time.strftime("%Y-%m-%dT%H:%M:00Z", time.gmtime(time.time() - 120))
    assert alice.api(f"/api/v1/topology?at={at}")["nodes"]
    page = alice.read(f"/?at={at}&tz=Europe/Berlin")
    assert "This is the past" in page
    frozen = alice.read("/topology?from=2026-10-25T01:30:00&to=2026-10-25T03:30:00&tz=Europe/Berlin")
    assert "This is the past" in frozen
