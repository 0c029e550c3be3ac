"""Prometheus as prometheus-api-client gives it: dictionaries, and its Metric objects over pandas."""

from __future__ import annotations

from datetime import datetime

from prometheus_api_client import MetricsList, PrometheusConnect


def instant(url: str, query: str, at: datetime) -> dict[str, float]:
    rows = PrometheusConnect(url=url).custom_query(query, params={"time": at.timestamp()})
    return {row["metric"]["service"] + row["metric"]["instance"]: float(row["value"][1]) for row in rows}


def over_time(url: str, query: str, start: datetime, end: datetime) -> dict[str, list[float]]:
    rows = PrometheusConnect(url=url).custom_query_range(query, start, end, "60")
    return {
        row["metric"]["service"] + row["metric"]["instance"]: [float(v) for _, v in row["values"]]
        for row in rows
    }


def through_pandas(url: str, query: str, start: datetime, end: datetime) -> dict[str, list[float]]:
    rows = PrometheusConnect(url=url).custom_query_range(query, start, end, "60")
    metrics = MetricsList(rows)
    return {
        m.label_config["service"] + m.label_config["instance"]: m.metric_values["y"].tolist() for m in metrics
    }


def per_service(url: str, services: list[str], at: datetime) -> dict[str, float]:
    connection = PrometheusConnect(url=url)
    found = {}
    for service in services:
        query = f'sum(rate(http_requests_total{{service="{service}"}}[5m]))'
        found[service] = float(connection.custom_query(query, params={"time": at.timestamp()})[0]["value"][1])
    return found
