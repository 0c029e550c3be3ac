"""Which evidence of calls the demo gives beside the servers' own metrics."""

from __future__ import annotations

from enum import StrEnum


class Evidence(StrEnum):
    """Spans sent, Tempo's service graph, Istio's proxies, and the callers' own metrics."""

    TRACES = "traces"
    SERVICE_GRAPH = "service-graph"
    ISTIO = "istio"
    CLIENT_METRICS = "client-metrics"


DEFAULT = "traces,client-metrics"


def parse(text: str) -> frozenset[Evidence]:
    """A comma list; nothing = none. Raises ValueError with a sentence about the first unknown word."""
    wanted = [word.strip() for word in text.split(",") if word.strip()]
    for word in wanted:
        if word not in set(Evidence):
            raise ValueError(f"--evidence: there is no {word!r}; there are {', '.join(Evidence)}")
    return frozenset(map(Evidence, wanted))
