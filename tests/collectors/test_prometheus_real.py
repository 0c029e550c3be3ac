"""The collector against a real Prometheus whose history is known exactly."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from app.config import Prometheus
from app.model.fleet import EvidenceKind, Identity, NodeKind, Witness
from app.model.series import Window, quantiles
from collectors.prometheus import PrometheusCollector
from tests.support.prometheus_server import prometheus_over

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
END = START + timedelta(minutes=40)
WINDOW = Window(END - timedelta(minutes=1), END)
BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "+Inf")


def _counter(name: str, labels: str, per_second: float, every: int = 15) -> list[str]:
    steps = int((END - START).total_seconds()) // every + 1
    return [
        f"{name}{{{labels}}} {per_second * i * every:.6f} {START.timestamp() + i * every}"
        for i in range(steps)
    ]


def _histogram(
    base: str, labels: str, per_second: float, shares: dict[str, float], every: int = 15
) -> list[str]:
    lines = _counter(f"{base}_count", labels, per_second, every)
    below = 0.0
    for le in BOUNDS:
        below += shares.get(le, 0.0)
        lines += _counter(f"{base}_bucket", f'{labels},le="{le}"', per_second * below, every)
    return lines


def _openmetrics() -> str:
    server = "http_server_request_duration_seconds"
    at_order = 'service="order",namespace="shop",job="shop"'
    families = [
        _histogram(
            server,
            f'{at_order},status_code="200",version="v2",route="/a",pod="p1"',
            9,
            {"0.1": 0.9, "1.0": 0.1},
        ),
        _histogram(
            server, f'{at_order},status_code="500",version="v2",route="/a",pod="p1"', 1, {"0.25": 1.0}
        ),
        _counter("http_requests_total", f'{at_order},code="200"', 50),
        _histogram(
            "db_client_operation_duration_seconds",
            f'{at_order},server_address="orders-db",server_port="5432",db_system_name="postgresql"',
            20,
            {"0.005": 1.0},
        ),
        _histogram(
            "http_client_request_duration_seconds",
            f'{at_order},server_address="payment",server_port="8080",http_response_status_code="503"',
            2,
            {"0.5": 1.0},
        ),
        _counter(
            "grpc_server_handled_total",
            'app="pricing",namespace="shop",grpc_code="OK",job="grpc",instance="i"',
            3,
            60,
        ),
        _counter(
            "grpc_server_handled_total",
            'app="pricing",namespace="shop",grpc_code="Internal",job="grpc",instance="i"',
            1,
            60,
        ),
        _graph(),
        _mesh(),
        _counter(
            "traces_spanmetrics_calls_total",
            'service="search",span_kind="SPAN_KIND_SERVER",status_code="STATUS_CODE_UNSET"',
            5,
        ),
        _counter(
            "traces_spanmetrics_calls_total",
            'service="search",span_kind="SPAN_KIND_CLIENT",status_code="STATUS_CODE_ERROR"',
            70,
        ),
    ]
    return "\n".join([line for family in families for line in family] + ["# EOF", ""])


def _graph() -> list[str]:
    pair = 'client="gateway",server="order"'
    database = 'client="order",server="orders",connection_type="database"'
    base = "acme_traces_service_graph_request"
    return [
        *_counter(f"{base}_total", pair, 10),
        *_counter(f"{base}_failed_total", pair, 2),
        *_counter(f"{base}_total", database, 4),
        *_histogram(f"{base}_client_seconds", pair, 10, {"0.5": 1.0}),
        *_histogram(f"{base}_server_seconds", pair, 10, {"0.25": 1.0}),
        *_histogram(f"{base}_client_seconds", database, 4, {"0.01": 1.0}),
        *_histogram(f"{base}_server_seconds", database, 4, {"0.01": 1.0}),
    ]


def _mesh() -> list[str]:
    edge = (
        'source_workload="web-v1",source_canonical_service="web",source_workload_namespace="mesh",'
        'destination_workload="pay-v1",destination_canonical_service="pay",destination_workload_namespace="mesh",'
        'destination_service_name="pay",destination_service_namespace="mesh",request_protocol="http",'
        'response_flags="-"'
    )
    return [
        *_counter("istio_requests_total", f'reporter="source",{edge},response_code="200"', 10),
        *_counter("istio_requests_total", f'reporter="destination",{edge},response_code="200"', 9),
    ]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory: Path = tmp_path_factory.mktemp("prometheus")
    with prometheus_over(_openmetrics(), directory) as address:
        yield address


@pytest.fixture
def collector(url: str) -> Iterator[PrometheusCollector]:
    made = PrometheusCollector("c1", Prometheus(url=url))
    yield made
    made.close()


def _said(collector: PrometheusCollector, kind: EvidenceKind) -> Witness:
    return next(one for one in collector.pull(WINDOW).witnesses if one.evidence is kind)


def _query(url: str, text: str) -> float:
    query = urllib.parse.urlencode({"query": text, "time": END.timestamp()})
    with urllib.request.urlopen(f"{url}/api/v1/query?{query}") as answer:
        return float(json.load(answer)["data"]["result"][0]["value"][1])


def _row(witness: Witness, name: str) -> int:
    party = next(i for i, one in enumerate(witness.parties) if one.name == name)
    return list(witness.nodes.party).index(party)


def test_counts_of_a_service_are_its_rate_times_the_window_and_one_family_only(
    collector: PrometheusCollector,
) -> None:
    witness = _said(collector, EvidenceKind.SERVER_METRICS)
    row = _row(witness, "order")
    seconds = witness.window.total_seconds()
    assert witness.parties[witness.nodes.party[row]] == Identity(name="order", namespace="shop")
    assert witness.nodes.requests[row] / seconds == pytest.approx(10, rel=0.01)
    assert witness.nodes.failed[row] / witness.nodes.requests[row] == pytest.approx(0.1, rel=0.01)
    assert witness.nodes.versions[row] == "v2"
    assert witness.as_of == END


def test_quantiles_agree_with_histogram_quantile_of_the_server(
    collector: PrometheusCollector, url: str
) -> None:
    witness = _said(collector, EvidenceKind.SERVER_METRICS)
    ours = quantiles(witness.nodes.latency[_row(witness, "order")], (0.5, 0.95))[0]
    metric = "sum by (le) (rate(http_server_request_duration_seconds_bucket[4m]))"
    theirs = [_query(url, f"histogram_quantile({q}, {metric})") for q in (0.5, 0.95)]
    assert ours == pytest.approx(theirs, rel=0.26)


def test_the_window_widens_to_four_scrape_intervals_that_were_seen(collector: PrometheusCollector) -> None:
    assert _said(collector, EvidenceKind.SERVER_METRICS).window == timedelta(
        minutes=4
    )  # gRPC comes every 60 s
    assert _said(collector, EvidenceKind.CLIENT_METRICS).window == timedelta(minutes=1)


def test_grpc_codes_are_told_apart_and_the_app_label_names_the_service(
    collector: PrometheusCollector,
) -> None:
    witness = _said(collector, EvidenceKind.SERVER_METRICS)
    row = _row(witness, "pricing")
    assert witness.nodes.failed[row] / witness.nodes.requests[row] == pytest.approx(0.25, rel=0.01)


def test_client_metrics_become_edges_to_addresses_and_stores(collector: PrometheusCollector) -> None:
    witness = _said(collector, EvidenceKind.CLIENT_METRICS)
    seen = {
        (witness.parties[s].name, witness.parties[t].kind, witness.parties[t].address, p): (
            round(r),
            round(f),
        )
        for s, t, p, r, f in zip(
            witness.edges.source,
            witness.edges.target,
            witness.edges.protocol,
            witness.edges.requests,
            witness.edges.failed,
            strict=True,
        )
    }
    assert seen == {
        ("order", NodeKind.DATABASE, "orders-db:5432", "postgresql"): (1200, 0),
        ("order", NodeKind.EXTERNAL, "payment:8080", "http"): (120, 120),
    }


def test_a_service_graph_under_a_prefix_is_found_and_absent_failures_are_zero(
    collector: PrometheusCollector,
) -> None:
    witness = _said(collector, EvidenceKind.SERVICE_GRAPH)
    rows = {
        witness.parties[t].name or witness.parties[t].address: i for i, t in enumerate(witness.edges.target)
    }
    order, database = rows["order"], rows["orders"]
    assert witness.edges.failed[order] / witness.edges.requests[order] == pytest.approx(0.2, rel=0.01)
    assert witness.edges.failed[database] == 0
    assert witness.edges.server_latency[order].sum() == pytest.approx(witness.edges.requests[order])
    assert witness.edges.client_latency[database].sum() > 0
    assert witness.edges.server_latency[database].sum() == 0  # recorded twice by construction


def test_mesh_reporters_are_reconciled_and_never_summed(collector: PrometheusCollector) -> None:
    witness = _said(collector, EvidenceKind.MESH)
    seconds = witness.window.total_seconds()
    assert list(np.round(witness.edges.requests / seconds)) == [10]
    assert list(np.round(witness.nodes.requests / seconds)) == [9]


def test_span_metrics_count_server_spans_only(collector: PrometheusCollector) -> None:
    witness = _said(collector, EvidenceKind.SPAN_METRICS)
    assert [round(x) for x in witness.nodes.requests / witness.window.total_seconds()] == [5]
    assert list(witness.nodes.failed) == [0]


def test_a_whole_zoo_of_families_takes_at_most_eight_queries(collector: PrometheusCollector) -> None:
    collector.pull(WINDOW)
    before = collector.api.requests_sent
    collector.pull(WINDOW)
    assert 0 < collector.api.requests_sent - before <= 8


def test_history_gives_every_minute_with_its_own_counts(collector: PrometheusCollector) -> None:
    past = list(collector.history(Window(END - timedelta(minutes=20), END)))
    assert [one.window.start for one in past] == [END - timedelta(minutes=20 - i) for i in range(20)]
    server = [next(w for w in one.witnesses if w.evidence is EvidenceKind.SERVER_METRICS) for one in past]
    assert [round(float(w.nodes.requests[_row(w, "order")])) for w in server] == pytest.approx(
        [600] * 20, rel=0.02
    )
    assert all(w.window == timedelta(minutes=1) and len(w.edges) == 0 for w in server)
