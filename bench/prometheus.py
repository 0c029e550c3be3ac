"""Prometheus read: prometheus-api-client's dictionaries and objects against identity encoding and typed columns.

A real Prometheus over blocks of seeded counters: five series a service, one hour in steps of a minute, one in
twenty counters reset in between. Its own CPU stands in the server column. Environment: SIZE, ROUNDS.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from app.config import Prometheus
from app.model.series import Window
from bench.harness import compare, growth, load, provenance, sizes, tree_cpu
from bench.naive import prometheus as naive
from collectors.prometheus import PrometheusCollector
from collectors.prometheus_api import PrometheusApi
from collectors.prometheus_wire import table
from tests.support.prometheus_server import prometheus_over

SEED = 5
START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
MINUTES = 60
END = START + timedelta(minutes=MINUTES)
LABELS = ("service", "instance")
FAILURES = 'http_requests_total{code="500"}'


def openmetrics(services: int) -> str:
    draw = random.Random(SEED)
    lines = []
    for i in range(services):
        for j in range(5):
            code = "500" if j == 4 else "200"
            labels = f'service="service-{i:04d}",instance="10.0.{i % 250}.{j}:8080",code="{code}"'
            value, rate = draw.uniform(0, 1e5), draw.uniform(0.1, 200)
            for minute in range(MINUTES + 1):
                value = 0.0 if draw.random() < 0.05 / MINUTES else value + rate * 60 * draw.uniform(0.8, 1.2)
                lines.append(f"http_requests_total{{{labels}}} {value:.3f} {START.timestamp() + minute * 60}")
    return "\n".join([*lines, "# EOF", ""])


@contextmanager
def served(services: int) -> Iterator[tuple[str, int]]:
    with TemporaryDirectory() as directory, prometheus_over(openmetrics(services), Path(directory)) as url:
        port = url.rsplit(":", 1)[1]
        listed = subprocess.run(
            ["pgrep", "-f", f"listen-address=127.0.0.1:{port}"], capture_output=True, text=True
        )
        yield url, int(listed.stdout.split()[0])


def instant(api: PrometheusApi, query: str) -> dict[str, float]:
    read = table(api.query(query, at=END), LABELS)
    keys = [a + b for a, b in zip(read.labels["service"], read.labels["instance"], strict=True)]
    return dict(zip(keys, read.values[:, 0].tolist(), strict=True))


def over_time(api: PrometheusApi, query: str) -> dict[str, list[float]]:
    read = table(api.query_range(query, start=START, end=END, step=timedelta(minutes=1)), LABELS)
    keys = [a + b for a, b in zip(read.labels["service"], read.labels["instance"], strict=True)]
    return dict(zip(keys, read.values.tolist(), strict=True))


def close(a: object, b: object) -> bool:
    assert isinstance(a, dict)
    assert isinstance(b, dict)
    return a.keys() == b.keys() and all(np.allclose(a[k], b[k]) for k in a)


def looked(collector: PrometheusCollector) -> dict[str, float]:
    witness = collector.pull(Window(END - timedelta(minutes=5), END)).witnesses[0]
    names = [witness.parties[p].name for p in witness.nodes.party]
    rates = witness.nodes.requests / witness.window.total_seconds()
    return dict(zip(names, rates.tolist(), strict=True))


def main() -> None:
    print(provenance(SEED, f"{sizes()} services"))
    costs = []
    for services in sizes():
        with served(services) as (url, pid):
            settings = Prometheus(url=url, rate_window=timedelta(minutes=5))
            api, collector = PrometheusApi(settings), PrometheusCollector("bench", settings)
            looked(collector)

            def cpu(pid: int = pid) -> float:
                return tree_cpu(pid)

            line = compare(
                f"instant, {services * 5:,} series",
                lambda url=url: naive.instant(url, "http_requests_total", END),
                lambda api=api: instant(api, "http_requests_total"),
                same=close,
                repeat=5,
                server_cpu=cpu,
            )
            costs.append((services, line.chosen[1]))
            print(line)
            for name, work in (
                ("range", naive.over_time),
                ("range through MetricsList", naive.through_pandas),
            )[: 2 if services <= 100 else 1]:
                print(
                    compare(
                        f"{name}, {services:,} series x {MINUTES + 1}",
                        lambda url=url, work=work: work(url, FAILURES, START, END),
                        lambda api=api: over_time(api, FAILURES),
                        same=close,
                        server_cpu=cpu,
                    )
                )
            if services <= 100:
                names = [f"service-{i:04d}" for i in range(services)]
                print(
                    compare(
                        f"rates of {services} services",
                        lambda url=url, names=names: naive.per_service(url, names, END),
                        lambda collector=collector: looked(collector),
                        same=close,
                        server_cpu=cpu,
                    )
                )
    if len(costs) > 1:
        print(growth(costs))
    print(load())


if __name__ == "__main__":
    main()
