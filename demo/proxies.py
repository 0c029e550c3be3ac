"""The fleet's calls as Istio's sidecars report them, both ends of each; the broker's port is excluded from the mesh.

Stores are outside the mesh and speak protocols that a proxy does not read: of them there are connections and
bytes, as for any TCP. Foreign APIs are known by a ServiceEntry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from app.model.series import Floats
from demo.catalog import Service, Store
from demo.labels import Labels, written
from demo.totals import Flow

_REQUESTS, _DURATION = "istio_requests_total", "istio_request_duration_milliseconds"
_OPENED = "istio_tcp_connections_opened_total"
_SENT, _RECEIVED = "istio_tcp_sent_bytes_total", "istio_tcp_received_bytes_total"
_CALLS_PER_CONNECTION, _BYTES_PER_CALL = 40.0, 620.0
_ENDS = {
    "source": (("200", "-"), ("500", "-"), ("504", "UT")),
    "destination": (("200", "-"), ("500", "-"), ("0", "DC")),  # the callee sees its caller leave
}
_UNKNOWN = "unknown"


def page(flows: Iterable[Flow], bounds: Floats) -> str:
    """Everything the proxies count, in Prometheus' text format."""
    families: dict[str, list[str]] = {name: [] for name in (_REQUESTS, _DURATION, _OPENED, _SENT, _RECEIVED)}
    for flow in flows:
        if isinstance(flow.target, Store) and flow.target.engine != "http":
            _connections(families, flow)
            continue
        reporters = ["source"] if flow.source else []
        reporters += ["destination"] if isinstance(flow.target, Service) else []
        for reporter in reporters:
            _requests(families, flow, reporter, bounds)
    return "".join(_text(families))


def _requests(families: dict[str, list[str]], flow: Flow, reporter: str, bounds: Floats) -> None:
    ends = (("reporter", reporter), *_caller(flow), *_callee(flow), ("request_protocol", "http"))
    for counts, (code, flags) in zip(flow.counts, _ENDS[reporter], strict=True):
        labels = written((*ends, ("response_code", code), ("response_flags", flags)))
        if code != "200" and not counts.any():
            continue
        families[_REQUESTS].append(f"{_REQUESTS}{{{labels}}} {counts.sum():.0f}\n")
        if len(counts) == len(bounds) + 1:
            families[_DURATION] += _buckets(labels, counts, bounds)


def _buckets(labels: str, counts: Floats, bounds: Floats) -> Iterator[str]:
    running = np.cumsum(counts)
    texts = [*(f"{bound * 1000:g}" for bound in bounds), "+Inf"]
    for text, value in zip(texts, running.tolist(), strict=True):
        yield f'{_DURATION}_bucket{{{labels},le="{text}"}} {value:.0f}\n'
    yield f"{_DURATION}_count{{{labels}}} {running[-1]:.0f}\n"


def _connections(families: dict[str, list[str]], flow: Flow) -> None:
    calls = float(flow.counts.sum())
    labels = written((("reporter", "source"), *_caller(flow), *_callee(flow), ("response_flags", "-")))
    for family, value in (
        (_OPENED, calls / _CALLS_PER_CONNECTION),
        (_SENT, calls * _BYTES_PER_CALL),
        (_RECEIVED, calls * _BYTES_PER_CALL / 4),
    ):
        families[family].append(f"{family}{{{labels}}} {value:.0f}\n")


def _caller(flow: Flow) -> Labels:
    name = flow.source.name if flow.source else _UNKNOWN
    return (
        ("source_workload", name),
        ("source_workload_namespace", flow.source.namespace if flow.source else _UNKNOWN),
        ("source_canonical_service", name),
        ("source_cluster", "Kubernetes" if flow.source else _UNKNOWN),
    )


def _callee(flow: Flow) -> Labels:
    target = flow.target
    if isinstance(target, Store):
        inside = target.engine != "http"
        namespace = flow.source.namespace if inside and flow.source else _UNKNOWN
        host = f"{target.host}.{namespace}.svc.cluster.local" if inside else target.host
        return (*_destination(host, target.host, namespace), *_workload(_UNKNOWN, _UNKNOWN))
    host = f"{target.name}.{target.namespace}.svc.cluster.local"
    return (*_destination(host, target.name, target.namespace), *_workload(target.name, target.namespace))


def _destination(host: str, name: str, namespace: str) -> Labels:
    return (
        ("destination_service", host),
        ("destination_service_name", name),
        ("destination_service_namespace", namespace),
    )


def _workload(name: str, namespace: str) -> Labels:
    return (
        ("destination_workload", name),
        ("destination_workload_namespace", namespace),
        ("destination_canonical_service", name),
        ("destination_cluster", _UNKNOWN if name == _UNKNOWN else "Kubernetes"),
    )


def _text(families: dict[str, list[str]]) -> Iterator[str]:
    for family, lines in families.items():
        if lines:
            yield f"# TYPE {family} {'histogram' if family == _DURATION else 'counter'}\n"
            yield from lines
