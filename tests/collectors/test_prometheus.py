"""The collector against a Prometheus that says what the test wants."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from app.config import Prometheus, Secret
from app.errors import SourceNonsense, SourceRefused, SourceStarting, SourceUnavailable
from app.model.fleet import EvidenceKind, NodeKind
from app.model.series import Window, quantiles
from collectors import families
from collectors.prometheus import PrometheusCollector
from tests.support.fake_prometheus import FakePrometheus, good
from tests.support.http_fake import Reply

END = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WINDOW = Window(END - timedelta(minutes=1), END)
SERVER = "http_server_request_duration_seconds"
CLIENT = "http_client_request_duration_seconds"
LABELS = ("service", "namespace", "version", "status_code", "job")


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    with FakePrometheus({f"{SERVER}_count": LABELS, f"{SERVER}_bucket": (*LABELS, "le")}) as server:
        yield server


def _collector(fake: FakePrometheus, **settings: Any) -> PrometheusCollector:
    return PrometheusCollector("c1", Prometheus(url=fake.url, **settings))


def _row(tag: str, service: str, value: float | str, **labels: str) -> tuple[dict[str, str], float | str]:
    return {"qd": tag, "service": service, "namespace": "shop", **labels}, value


def _some_traffic(fake: FakePrometheus, services: int = 1) -> None:
    fake.on("_count[", [_row("0n", f"s{i}", 2.0, status_code="200") for i in range(services)])
    fake.on("_bucket[", [_row("0b", f"s{i}", 2.0, le="+Inf") for i in range(services)])


@pytest.mark.parametrize("services", [1, 50, 2000])
def test_the_number_of_queries_does_not_depend_on_the_number_of_services(
    fake: FakePrometheus, services: int
) -> None:
    _some_traffic(fake, services)
    collector = _collector(fake)
    collector.pull(WINDOW)
    before = len(fake.server.requests)
    snapshot = collector.pull(WINDOW)
    assert len(snapshot.witnesses[0].nodes) == services
    assert len(fake.server.requests) - before == 1


def _everything(*, meshes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Every metric of every family, with every label any of them needs."""
    known = [f for f in families.MESH_FAMILIES if f.evidence.value in meshes]
    known += [*families.FAMILIES, *families.SPAN_FAMILIES, families.graph_family(families.GRAPH_SUFFIX)]
    names = {metric for family in known for _, metric in family.metrics}
    return dict.fromkeys(
        names, ("service", "reporter", "direction", "classification", "peer", "server_address")
    )


@pytest.mark.parametrize(
    ("meshes", "queries"), [(("istio",), 6), (("linkerd",), 5), (("istio", "linkerd"), 7)]
)
def test_a_prometheus_that_has_everything_is_asked_at_most_six_queries_with_one_mesh(
    meshes: tuple[str, ...], queries: int
) -> None:
    with FakePrometheus(_everything(meshes=meshes)) as fake:
        _scraped_for(fake, 55)
        collector = _collector(fake)
        collector.pull(WINDOW)
        before = len(fake.queries)
        collector.pull(WINDOW)
        assert len(fake.queries) - before == queries


def test_queries_ask_for_the_end_of_the_window_with_identity_encoding_and_a_timeout(
    fake: FakePrometheus,
) -> None:
    _some_traffic(fake)
    _collector(fake).pull(WINDOW)
    sent = fake.queries[-1]
    assert float(sent.params["time"]) == END.timestamp()
    assert sent.headers["accept-encoding"] == "identity"
    assert sent.params["timeout"] == "9000ms"
    assert "[60000ms]" in sent.params["query"]


def test_credentials_travel_with_every_request(fake: FakePrometheus) -> None:
    _some_traffic(fake)
    _collector(fake, bearer_token=Secret("t0ken")).pull(WINDOW)
    assert {r.headers["authorization"] for r in fake.server.requests} == {"Bearer t0ken"}
    fake.server.requests.clear()
    _collector(fake, username="u", password=Secret("p")).pull(WINDOW)
    assert {r.headers["authorization"] for r in fake.server.requests} == {"Basic dTpw"}


def test_values_that_are_no_numbers_are_dropped_and_said(fake: FakePrometheus) -> None:
    fake.on(
        "_count[",
        [
            _row("0n", "a", "NaN", status_code="200"),
            _row("0n", "a", 1.0, status_code="500"),
            _row("0n", "b", "+Inf", status_code="200"),
        ],
    )
    snapshot = _collector(fake).pull(WINDOW)
    nodes = snapshot.witnesses[0].nodes
    assert [snapshot.witnesses[0].parties[p].name for p in nodes.party] == ["a", "b"]
    assert nodes.requests[0] == nodes.failed[0] == 60.0
    assert np.isnan(nodes.requests[1])  # seen, and unknown: neither gone nor without traffic
    assert any("NaN" in notice for notice in snapshot.notices)


def test_a_service_whose_outcomes_are_not_told_has_unknown_errors_not_zero() -> None:
    with FakePrometheus({"http_requests_total": ["service"]}) as fake:
        fake.on("http_requests_total[", [_row("0n", "a", 3.0)])
        nodes = _collector(fake).pull(WINDOW).witnesses[0].nodes
    assert nodes.requests.tolist() == [180.0]
    assert np.isnan(nodes.failed).all()


def test_no_traffic_is_zero_and_no_series_is_no_row(fake: FakePrometheus) -> None:
    fake.on("_count[", [_row("0n", "quiet", 0.0, status_code="200")])
    nodes = _collector(fake).pull(WINDOW).witnesses[0].nodes
    assert nodes.requests.tolist() == [0.0]
    assert nodes.failed.tolist() == [0.0]


def test_a_histogram_without_a_status_label_gives_latency_beside_a_counter_that_has_one() -> None:
    metrics = {
        "http_request_duration_seconds_count": ["service"],
        "http_request_duration_seconds_bucket": ["service", "le"],
        "http_requests_total": ["service", "code"],
    }
    with FakePrometheus(metrics) as fake:
        fake.on(
            "http_requests_total[",
            [_row("0n", "a", 5.0), _row("1n", "a", 4.0, code="200"), _row("1n", "a", 1.0, code="503")],
        )
        fake.on("_bucket[", [_row("0b", "a", 5.0, le="0.1"), _row("0b", "a", 5.0, le="+Inf")])
        nodes = _collector(fake).pull(WINDOW).witnesses[0].nodes
    assert nodes.requests.sum() == pytest.approx(300)
    assert nodes.failed.sum() == pytest.approx(60)
    assert nodes.latency.sum() == pytest.approx(300)


def test_buckets_beyond_the_highest_bound_are_put_just_above_it(fake: FakePrometheus) -> None:
    fake.on("_count[", [_row("0n", "a", 1.0, status_code="200")])
    fake.on("_bucket[", [_row("0b", "a", 0.0, le="0.5"), _row("0b", "a", 1.0, le="+Inf")])
    nodes = _collector(fake).pull(WINDOW).witnesses[0].nodes
    assert 0.5 <= quantiles(nodes.latency)[0][1] <= 0.63


def test_a_lowest_bucket_that_swallows_everything_is_said() -> None:
    base = "traces_service_graph_request"
    with FakePrometheus(
        {f"{base}_total": ["client", "server"], f"{base}_client_seconds_bucket": ["client", "server"]}
    ) as fake:
        edge = {"client": "a", "server": "b"}
        fake.on("_total[", [({"qd": "0n", **edge}, 1.0)])
        fake.on(
            "client_seconds_bucket[",
            [({"qd": "0b", **edge, "le": "0.1"}, 1.0), ({"qd": "0b", **edge, "le": "+Inf"}, 1.0)],
        )
        snapshot = _collector(fake).pull(WINDOW)
    assert any("lowest bucket" in notice for notice in snapshot.notices)


@pytest.mark.parametrize("label", ["server_db_system_name", "db_system"])
def test_a_service_graph_that_tells_the_engine_of_a_database_is_believed(label: str) -> None:
    total = "traces_service_graph_request_total"
    with FakePrometheus({total: ["client", "server", "connection_type", label]}) as fake:
        told = {"client": "a", "server": "orders-db", "connection_type": "database", label: "postgresql"}
        fake.on("_total[", [({"qd": "0n", **told}, 1.0)])
        (witness,) = _collector(fake).pull(WINDOW).witnesses
    store = witness.parties[witness.edges.target[0]]
    assert (store.kind, store.engine, store.address) == (NodeKind.DATABASE, "postgresql", "orders-db")
    assert witness.edges.protocol == ("postgresql",)


def test_one_family_that_fails_is_a_notice_and_the_others_are_read() -> None:
    with FakePrometheus({f"{SERVER}_count": LABELS, f"{CLIENT}_count": (*LABELS, "server_address")}) as fake:
        fake.on(f"{SERVER}_count[", [_row("0n", "a", 1.0, status_code="200")])
        timeout = {"status": "error", "errorType": "timeout", "error": "query timed out"}
        fake.says(f"{CLIENT}_count[", Reply(503, json.dumps(timeout).encode()))
        snapshot = _collector(fake).pull(WINDOW)
    assert [w.evidence for w in snapshot.witnesses] == [EvidenceKind.SERVER_METRICS]
    assert any("client-metrics could not be read" in notice for notice in snapshot.notices)


def test_warnings_of_the_server_become_notices(fake: FakePrometheus) -> None:
    fake.on("_count[", [_row("0n", "a", 1.0)], warnings=["results truncated due to limit"])
    assert "server-metrics: results truncated due to limit" in _collector(fake).pull(WINDOW).notices


def test_labels_that_name_services_can_be_pinned(fake: FakePrometheus) -> None:
    from collectors.families import Role

    fake.on("_count[", [({"qd": "0n", "job": "shop/checkout"}, 1.0)])
    collector = PrometheusCollector("c1", Prometheus(url=fake.url), labels={Role.SERVICE: "job"})
    witness = collector.pull(WINDOW).witnesses[0]
    assert (witness.parties[0].namespace, witness.parties[0].name) == ("shop", "checkout")
    assert "service, " not in fake.queries[-1].params["query"]


def test_families_that_appear_later_are_found_without_restart() -> None:
    with FakePrometheus() as fake:
        collector = _collector(fake)
        assert collector.pull(WINDOW).witnesses == ()
        fake.metrics[f"{SERVER}_count"] = list(LABELS)
        fake.on("_count[", [_row("0n", "a", 1.0, status_code="200")])
        later = END + timedelta(seconds=31)
        assert len(collector.pull(Window(later - timedelta(minutes=1), later)).witnesses) == 1


def test_nobody_there_is_unavailable_and_comes_back_by_itself(fake: FakePrometheus) -> None:
    _some_traffic(fake)
    collector = _collector(fake)
    fake.down()
    with pytest.raises(SourceUnavailable, match="Connection refused"):
        collector.pull(WINDOW)
    fake.up()
    assert collector.pull(WINDOW).witnesses


def test_a_server_that_hangs_is_unavailable_after_the_timeout(fake: FakePrometheus) -> None:
    fake.server.hang()
    with pytest.raises(SourceUnavailable, match="did not answer within"):
        _collector(fake, query_timeout=timedelta(milliseconds=200)).pull(WINDOW)
    fake.server.release()


def test_a_body_that_trickles_ends_at_the_deadline(fake: FakePrometheus) -> None:
    def trickle() -> Iterator[bytes]:
        while not fake.server.leaving(0.05):
            yield b" " * 300_000

    fake.everything_says(Reply(200, trickle()))
    with pytest.raises(SourceUnavailable, match="in time"):
        _collector(fake, query_timeout=timedelta(milliseconds=300)).pull(WINDOW)


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_refused_not_down(fake: FakePrometheus, status: int) -> None:
    fake.refuse(status)
    with pytest.raises(SourceRefused):
        _collector(fake, bearer_token=Secret("t0ken")).pull(WINDOW)


def test_a_starting_server_says_how_far_it_is(fake: FakePrometheus) -> None:
    def starting(request: Any) -> Reply:
        if request.path.endswith("/walreplay"):
            return Reply(200, b'{"status":"success","data":{"min":0,"max":12,"current":3}}')
        return Reply(503, b"Service Unavailable", {"Content-Type": "text/plain"})

    fake.override = starting
    with pytest.raises(SourceStarting, match="3 of 12 segments"):
        _collector(fake).pull(WINDOW)


def test_a_stopping_server_is_unavailable(fake: FakePrometheus) -> None:
    fake.everything_says(Reply(503, b"Service Unavailable", {"X-Prometheus-Stopping": "true"}))
    with pytest.raises(SourceUnavailable, match="stopping"):
        _collector(fake).pull(WINDOW)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>Sign in</html>", {"Content-Type": "text/html"}),
        Reply(200, b"\x00\x01garbage"),
        Reply(404, b"404 page not found"),
        Reply(302, b"", {"Location": "https://login.example/"}),
        Reply(200, b"not gzip", {"Content-Encoding": "gzip"}),
        Reply(200, gzip.compress(b" " * 70_000_000), {"Content-Encoding": "gzip"}),
    ],
    ids=["html", "garbage", "404", "redirect", "broken gzip", "gzip bomb"],
)
def test_what_is_not_prometheus_is_nonsense(fake: FakePrometheus, reply: Reply) -> None:
    fake.everything_says(reply)
    with pytest.raises(SourceNonsense):
        _collector(fake).pull(WINDOW)


def test_no_error_sentence_holds_the_credentials(fake: FakePrometheus) -> None:
    fake.refuse(500, "boom")
    with pytest.raises(SourceUnavailable) as caught:
        _collector(fake, bearer_token=Secret("t0ken-s3cret")).pull(WINDOW)
    assert "s3cret" not in str(caught.value)


def test_a_range_of_more_points_than_prometheus_gives_is_split(fake: FakePrometheus) -> None:
    _some_traffic(fake)
    start = END - timedelta(hours=5)
    past = list(_collector(fake).history(Window(start, END)))
    ranges = [r for r in fake.queries if r.path.endswith("query_range")]
    assert len(past) == 300
    assert [p.window.end for p in past] == sorted({p.window.end for p in past})
    assert {int((float(r.params["end"]) - float(r.params["start"])) / 60) + 1 for r in ranges} == {60}


def _scraped_for(fake: FakePrometheus, seconds: int) -> None:
    """One target, scraped every 5 s since `seconds` before END."""
    times = [END.timestamp() - ago for ago in range(seconds, -1, -5)]
    fake.on("topk(1, count_over_time(up", [({"job": "fleet", "instance": "pod:1"}, len(times))])
    matrix = [{"metric": {"job": "fleet", "instance": "pod:1"}, "values": [[at, "1"] for at in times]}]
    fake.says('up{job="fleet",instance="pod:1"}', good({"resultType": "matrix", "result": matrix}))


def test_just_after_prometheus_began_counts_stand_for_the_part_that_was_scraped(fake: FakePrometheus) -> None:
    _some_traffic(fake)
    _scraped_for(fake, 15)
    witness = _collector(fake).pull(WINDOW).witnesses[0]
    assert witness.window == timedelta(seconds=17.5)
    assert witness.nodes.requests[0] == pytest.approx(120.0)  # 2 per second as rate() spreads them over 60 s


def test_a_window_that_was_scraped_throughout_is_not_asked_about_again(fake: FakePrometheus) -> None:
    _some_traffic(fake)
    _scraped_for(fake, 55)
    collector = _collector(fake)
    assert collector.pull(WINDOW).witnesses[0].window == timedelta(seconds=60)
    collector.pull(WINDOW)
    assert (
        sum("topk" in request.params["query"] and "up" in request.params["query"] for request in fake.queries)
        == 1
    )
