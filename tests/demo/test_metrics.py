"""The exporters: names, labels, resets, discovery, the control address; and a real Prometheus that reads them."""

import json
import re
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from demo import generate, history
from demo.control import Control
from demo.metrics import Exporter, NoSuchPod
from demo.scenario import Director
from demo.server import FleetServer
from tests.support.demo_figures import run, served_total
from tests.support.demo_pods import make_fleet
from tests.support.scraping_prometheus import ask, scraping, until

_SAMPLE = re.compile(r"([a-z_]+)\{(.*)\} (\S+)")


def samples(page):
    """(name, labels) -> value; a series that occurs twice is an error."""
    found = {}
    for line in page.splitlines():
        if not line.startswith("#"):
            name, labels, value = _SAMPLE.fullmatch(line).groups()
            assert (name, labels) not in found, line
            found[(name, labels)] = float(value)
    return found


def _page(fleet, pods, service):
    return Exporter(fleet).pod("shop", pods.pods("shop", service)[0].name)


@contextmanager
def serving(fleet, pods):
    server = FleetServer(("127.0.0.1", 0), Exporter(fleet), Control(Director(fleet, pods)))
    server.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def _post(url, body, kind="application/json", **headers):
    request = urllib.request.Request(url, body, {"Content-Type": kind, **headers}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)


def test_a_pod_counts_its_requests_under_the_usual_names():
    fleet, pods = make_fleet()
    run(fleet, None, 20)
    found = samples(_page(fleet, pods, "order"))
    labels = 'service="order",version="3.4.1",route="/orders",method="POST",status_code="201"'
    count = found[("http_server_request_duration_seconds_count", labels)]
    assert count > 100
    assert found[("http_server_request_duration_seconds_bucket", f'{labels},le="+Inf"')] == count
    assert 0.05 < found[("http_server_request_duration_seconds_sum", labels)] / count < 0.2


def test_buckets_are_cumulative():
    fleet, pods = make_fleet()
    run(fleet, None, 20)
    page = _page(fleet, pods, "gateway")
    lines = [line for line in page.splitlines() if "_bucket{" in line and 'route="/api/home"' in line]
    values = [int(line.rsplit(" ", 1)[1]) for line in lines if 'status_code="200"' in line]
    assert values == sorted(values)
    assert len(values) == 19


HTTP, DB = "http_client_request_duration_seconds", "db_client_operation_duration_seconds"
SEND, PROCESS = "messaging_client_operation_duration_seconds", "messaging_process_duration_seconds"
ORDERS_DB = {"db_system_name": "postgresql", "db_namespace": "orders", "server_address": "orders-db"}
CARTS = {"db_system_name": "redis", "db_operation_name": "HGETALL", "server_address": "cart-redis"}
PRODUCTS = {"db_system_name": "elasticsearch", "server_address": "elasticsearch", "server_port": "9200"}
ACQUIRER = {
    "server_address": "api.acquirer.example",
    "server_port": "443",
    "http_response_status_code": "200",
}
INVENTORY = {
    "http_request_method": "POST",
    "http_response_status_code": "201",
    "server_address": "inventory.shop.svc.cluster.local",
    "server_port": "8080",
}
EVENTS = {
    "messaging_system": "kafka",
    "messaging_destination_name": "order-events",
    "server_address": "kafka",
    "server_port": "9092",
}


@pytest.mark.parametrize(
    ("service", "name", "labels"),
    [
        ("order", f"{HTTP}_count", INVENTORY),
        ("payment", f"{HTTP}_count", ACQUIRER),
        ("order", f"{DB}_count", ORDERS_DB),
        ("cart", f"{DB}_count", CARTS),
        ("search", f"{DB}_count", PRODUCTS),
        ("order", f"{SEND}_count", EVENTS | {"messaging_operation_type": "send"}),
        ("notification", f"{PROCESS}_count", EVENTS | {"messaging_operation_type": "process"}),
        ("notification", f"{PROCESS}_count", EVENTS | {"messaging_consumer_group_name": "notification"}),
        ("user", "process_cpu_seconds_total", {"version": "6.0.1"}),
        ("user", "container_memory_working_set_bytes", {"version": "6.0.1"}),
    ],
)
def test_edges_and_processes_have_series(service, name, labels):
    fleet, pods = make_fleet()
    run(fleet, None, 20)
    wanted = {f'{key}="{value}"' for key, value in ({"service": service} | labels).items()}
    found = samples(_page(fleet, pods, service))
    values = [
        value
        for (family, pairs), value in found.items()
        if family == name and wanted <= set(pairs.split(","))
    ]
    assert values
    assert all(value > 0 for value in values)


def test_failures_have_their_own_series():
    fleet, pods = make_fleet()
    pods.deploy("shop", "payment", "4.2.0")
    run(fleet, None, 20)
    found = samples(_page(fleet, pods, "payment"))
    labels = 'service="payment",version="4.2.0",route="/payments",method="POST",status_code="500"'
    assert found[("http_server_request_duration_seconds_count", labels)] > 20


def test_every_page_has_each_series_once():
    fleet, pods = make_fleet()
    Director(fleet, pods).start("slow-database")
    run(fleet, None, 20)
    exporter = Exporter(fleet)
    for view in fleet.pods.views:
        assert samples(exporter.pod("shop", view.name))
    assert samples(exporter.broker())


def test_consumer_lag_is_exported():
    fleet, pods = make_fleet()
    director = Director(fleet, pods)
    director.start("queue-backlog")
    run(fleet, director, 30)
    found = samples(Exporter(fleet).broker())
    lag = [
        v for (n, labels), v in found.items() if n == "kafka_consumergroup_lag" and '"notification"' in labels
    ]
    assert sum(lag) == pytest.approx(fleet.state.lag[2], abs=3)
    assert sum(lag) > 100


def test_in_a_big_fleet_a_node_carries_its_pods_series_and_edges_have_no_buckets():
    fleet, _ = make_fleet(generate.catalog(150, 1))
    run(fleet, None, 5)
    exporter = Exporter(fleet)
    page = exporter.node("node-1")
    assert 'namespace="shop",pod="gateway-' in page
    assert "http_server_request_duration_seconds_bucket{" in page
    assert "http_client_request_duration_seconds_count{" in page
    assert "http_client_request_duration_seconds_bucket{" not in page
    assert "# TYPE http_client_request_duration_seconds summary" in page
    assert samples(page)
    paths = [target["labels"]["__metrics_path__"] for target in exporter.targets("h:1")]
    assert paths == [
        "/nodes/node-0/metrics",
        "/nodes/node-1/metrics",
        "/nodes/node-2/metrics",
        "/broker/metrics",
    ]


def test_pods_of_a_lost_node_do_not_answer():
    fleet, _ = make_fleet()
    fleet.faults.lost_nodes.add("node-1")
    lost = next(view for view in fleet.pods.views if view.node == "node-1")
    with pytest.raises(NoSuchPod):
        Exporter(fleet).pod("shop", lost.name)


def test_discovery_lists_each_pod_at_the_address_that_was_asked():
    fleet, pods = make_fleet()
    with serving(fleet, pods) as url, urllib.request.urlopen(f"{url}/sd", timeout=5) as answer:
        assert answer.headers["Content-Type"] == "application/json"
        groups = json.load(answer)
    first = groups[0]
    assert f"http://{first['targets'][0]}" == url
    assert first["labels"]["namespace"] == "shop"
    assert first["labels"]["__metrics_path__"] == f"/pods/shop/{first['labels']['pod']}/metrics"
    assert len(groups) == len(fleet.pods.views) + 1


def test_an_unknown_pod_is_a_503_and_an_unknown_post_a_404():
    fleet, pods = make_fleet()
    with serving(fleet, pods) as url:
        with pytest.raises(urllib.error.HTTPError, match="503") as failed:
            urllib.request.urlopen(f"{url}/pods/shop/nobody/metrics", timeout=5)
        failed.value.close()
        assert _post(f"{url}/sd", b"{}")[0] == 404


def test_the_control_address_starts_and_ends_a_scenario():
    fleet, pods = make_fleet()
    with serving(fleet, pods) as url:
        status, said = _post(f"{url}/scenario", b'{"name": "traffic-surge"}')
        assert (status, said["name"], said["state"]) == (200, "traffic-surge", "running")
        with urllib.request.urlopen(f"{url}/scenario", timeout=5) as answer:
            assert json.load(answer) == said
        assert _post(f"{url}/scenario", b'{"name": null}')[1]["state"] == "ended"
        later = _post(f"{url}/scenario", b'{"name": "traffic-surge", "after_seconds": 60}')[1]
        assert (later["name"], later["state"]) == ("traffic-surge", "waiting")


@pytest.mark.parametrize(
    ("body", "kind", "headers", "status"),
    [
        (b'{"name": "meteor"}', "application/json", {}, 404),
        (b"name=traffic-surge", "application/x-www-form-urlencoded", {}, 415),
        (b"{", "application/json", {}, 400),
        (b'["traffic-surge"]', "application/json", {}, 400),
        (b'{"name": 3}', "application/json", {}, 400),
        (b"{}", "application/json", {}, 400),
        (b'{"name": "traffic-surge", "after_seconds": -1}', "application/json", {}, 400),
        (b'{"name": "traffic-surge", "after_seconds": NaN}', "application/json", {}, 400),
        (b'{"name": "traffic-surge", "after_seconds": true}', "application/json", {}, 400),
        (b'{"name": "traffic-surge"}', "application/json", {"Origin": "http://evil.example"}, 403),
    ],
)
def test_what_is_no_request_for_a_scenario_is_refused_and_changes_nothing(body, kind, headers, status):
    fleet, pods = make_fleet()
    with serving(fleet, pods) as url:
        assert _post(f"{url}/scenario", body, kind, **headers)[0] == status
        with urllib.request.urlopen(f"{url}/scenario", timeout=5) as answer:
            assert json.load(answer)["state"] == "none"


def test_the_scrape_interval_follows_the_size():
    assert "scrape_interval: 5s" in history.prometheus_config("http://127.0.0.1:1/sd")
    assert "scrape_interval: 30s" in history.prometheus_config("http://127.0.0.1:1/sd", services=101)


@contextmanager
def _running(fleet, speed):
    """Step the model by wall time, `speed` times as fast."""
    stop = threading.Event()

    def beat():
        last = time.monotonic()
        while not stop.wait(0.1):
            left, last = (time.monotonic() - last) * speed, time.monotonic()
            while left > 0:
                fleet.step(min(left, 1.0))
                left -= 1.0

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_real_prometheus_reads_the_rates_that_the_model_has_and_follows_its_pods(tmp_path):
    speed = 40.0
    fleet, pods = make_fleet()
    with serving(fleet, pods) as url, _running(fleet, speed):
        config = history.prometheus_config(f"{url}/sd").replace("5s", "1s").replace("4s", "1s")
        with scraping(config, tmp_path) as prometheus:
            everywhere = len(fleet.pods.views) + 1.0
            assert until(lambda: ask(prometheus, "count(up == 1)") == {"": everywhere})
            services = [s.name for s in fleet.plan.catalog.services]
            began, before = time.monotonic(), {name: served_total(fleet, name) for name in services}
            assert until(lambda: time.monotonic() - began > 14)
            took = time.monotonic() - began
            counted = {name: (served_total(fleet, name) - before[name]) / took for name in services}
            found = ask(
                prometheus, "sum by (service) (rate(http_server_request_duration_seconds_count[13s]))"
            )
            assert {name: found[name] / counted[name] for name in services} == {
                name: pytest.approx(1.0, abs=0.05) for name in services
            }
            where = 'service="order",server_address=~"payment.*"'
            edge = f"sum(rate({HTTP}_count{{{where}}}[13s]))"
            assert ask(prometheus, edge)[""] == pytest.approx(found["payment"], rel=0.05)
            pods.scale("user", 5)
            pods.scale("order", 1)
            up = 'count by (pod) (up{pod=~"user-.*|order-.*"} == 1)'
            assert until(lambda: len(ask(prometheus, up)) == 6)
