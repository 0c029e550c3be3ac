"""Model values as rows of answers (the shapes of `shapes.py`)."""

from __future__ import annotations

from typing import Any

from app.model.fleet import Edge, Evidence, Health, Latency, Node
from app.web.lines import plain

Row = dict[str, Any]


def number(value: float | None) -> float | None:
    """Four significant digits; None stays None, NaN becomes None."""
    return None if value is None else plain([value])[0]


def health_row(health: Health) -> Row:
    """Health with its reasons."""
    reasons = [
        {
            "code": reason.code,
            "message": reason.message,
            "value": number(reason.value),
            "threshold": number(reason.threshold),
        }
        for reason in health.reasons
    ]
    return {"status": str(health.status), "since": health.since, "reasons": reasons}


def latency_row(latency: Latency) -> Row:
    """Quantiles in seconds."""
    return {"p50": number(latency.p50), "p95": number(latency.p95), "p99": number(latency.p99)}


def evidence_rows(evidence: tuple[Evidence, ...]) -> list[Row]:
    """Who says so, in order of trust."""
    return [
        {
            "source": str(word.source),
            "as_of": word.as_of,
            "rps": number(word.rps),
            "sampling_ratio": word.sampling_ratio,
        }
        for word in evidence
    ]


def node_row(node: Node) -> Row:
    """A service or inferred node."""
    return {
        "id": node.id,
        "name": node.name,
        "kind": str(node.kind),
        "cluster": node.cluster,
        "namespace": node.namespace,
        "owner": node.owner,
        "workload": "/".join(node.workload) if node.workload else None,
        "health": health_row(node.health),
        "rps": number(node.rps),
        "error_ratio": number(node.error_ratio),
        "latency_seconds": latency_row(node.latency),
        "replicas": {"desired": node.replicas.desired, "ready": node.replicas.ready},
        "versions": list(node.versions),
        "evidence": evidence_rows(node.evidence),
        "slos": [],
    }


def call_row(edge: Edge, other: str, names: dict[str, str]) -> Row:
    """An edge seen from one of its ends; `other` is the id of the far end."""
    return {
        "id": edge.id,
        "node": other,
        "name": names.get(other, other),
        "kind": str(edge.kind),
        "protocol": edge.protocol,
        "health": health_row(edge.health),
        "rps": number(edge.rps),
        "error_ratio": number(edge.error_ratio),
        "latency_seconds": latency_row(edge.latency),
        "evidence": evidence_rows(edge.evidence),
    }
