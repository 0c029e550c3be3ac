"""The step that looks: one file per kind of source. `KINDS` names them; each is loaded on first use."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

from collectors.base import Collector

KINDS: dict[str, str] = {
    "prometheus": "collectors.prometheus:PrometheusCollector",
    "kubernetes": "collectors.kubernetes:KubernetesCollector",
    "otlp": "collectors.otlp:OtlpCollector",
    "jaeger": "collectors.jaeger:JaegerCollector",
    "tempo": "collectors.tempo:TempoCollector",
}


def load(kind: str) -> type[Collector]:
    """The class behind a kind; third parties join through the entry-point group `quarterdeck.collectors`."""
    path = KINDS.get(kind)
    if path is None:
        found = {entry.name: entry for entry in entry_points(group="quarterdeck.collectors")}
        loaded: type[Collector] = found[kind].load()
        return loaded
    module, _, name = path.partition(":")
    cls: type[Collector] = getattr(import_module(module), name)
    return cls
