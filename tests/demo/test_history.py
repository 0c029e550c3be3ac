"""Six quiet hours before the demo's first start, as a real Prometheus reads them."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from demo import generate, history
from tests.support.demo_figures import figures_of, run
from tests.support.demo_pods import make_fleet
from tests.support.scraping_prometheus import ask, scraping

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The history of the named fleet, written once: (what was made, Prometheus' data directory)."""
    data = tmp_path_factory.mktemp("history") / "prometheus"
    return history.prepare(data, seed=1, services=None, now=NOW), data


def test_history_joins_the_live_model_and_reaches_back_six_hours(written, tmp_path):
    made, data = written
    assert made.until - made.start >= timedelta(hours=6)
    assert NOW - made.until < timedelta(minutes=1)
    assert made.step == timedelta(minutes=1)
    fleet, _ = make_fleet()
    run(fleet, None, 10)
    with scraping("global: {}\n", tmp_path, data) as url:
        rate = "sum by (service) (rate(http_server_request_duration_seconds_count[10m]))"
        p95 = (
            "histogram_quantile(0.95, sum by (service, le)"
            " (rate(http_server_request_duration_seconds_bucket[10m])))"
        )
        edges = "sum(rate(db_client_operation_duration_seconds_count{server_address='orders-db'}[10m]))"
        for moment in (made.until, made.until - timedelta(hours=3), made.start + timedelta(minutes=11)):
            at = moment.timestamp()
            rates, quantiles = ask(url, rate, at), ask(url, p95, at)
            assert set(rates) == {service.name for service in fleet.plan.catalog.services}
            for name in ("gateway", "order", "search"):
                figures = figures_of(fleet, name)
                assert rates[name] == pytest.approx(figures.rate, rel=0.25)
                assert quantiles[name] == pytest.approx(figures.p95, rel=0.1)
            assert ask(url, edges, at)[""] == pytest.approx(83, rel=0.25)
        failed = 'sum(rate(http_server_request_duration_seconds_count{status_code=~"5.."}[6h]))'
        total = "sum(rate(http_server_request_duration_seconds_count[6h]))"
        at = made.until.timestamp()
        assert ask(url, f"{failed} / {total}", at)[""] < 0.003
        namespaces = 'count by (namespace) (http_server_request_duration_seconds_count{job="fleet"})'
        assert set(ask(url, namespaces, at)) == {"shop"}


def test_a_later_start_keeps_what_is_there(written):
    first, data = written
    blocks = sorted(path.name for path in data.iterdir())
    assert history.prepare(data, seed=1, services=None, now=NOW + timedelta(hours=2)) == first
    assert sorted(path.name for path in data.iterdir()) == blocks
    marker = json.loads(data.with_name("demo-history.json").read_text())
    assert datetime.fromisoformat(marker["until"]) == first.until


def test_the_same_seed_writes_the_same_past():
    columns = [history._columns(generate.catalog(0, 3), 3, NOW.timestamp(), calls=True)[0] for _ in range(2)]
    assert [(c.metric, c.rates.tolist()) for c in columns[0]] == [
        (c.metric, c.rates.tolist()) for c in columns[1]
    ]


def test_a_big_fleet_has_longer_steps_and_no_edges(tmp_path):
    made = history.prepare(tmp_path / "prometheus", seed=1, services=150, now=NOW)
    assert made.step == timedelta(minutes=5)
    columns, _ = history._columns(generate.catalog(150, 1), 1, NOW.timestamp(), calls=True)
    assert {column.metric.family for column in columns} == {
        "http_server_request_duration_seconds",
        "messaging_process_duration_seconds",
    }


def test_without_promtool_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(history.HistoryFailed, match="apt-get install prometheus"):
        history.prepare(tmp_path / "prometheus", seed=1, services=None, now=NOW)
    assert not (tmp_path / "demo-history.json").exists()
