"""The plain way to assemble a topology: dicts per element, lists as histograms, one Python step per row."""

from __future__ import annotations

from app.model.fleet import EvidenceKind, Snapshot
from app.model.series import BOUNDS

_TRUST = list(EvidenceKind)


def assemble(cluster: str, snapshots: list[Snapshot]) -> dict:
    """Nodes and edges with rate, error ratio and p95; the most trusted witness gives the numbers."""
    witnesses = sorted((w for s in snapshots for w in s.witnesses), key=lambda w: _TRUST.index(w.evidence))
    nodes: dict[str, dict] = {}
    edges: dict[str, dict] = {}
    for witness in witnesses:
        seconds = witness.window.total_seconds()
        ids = [f"{cluster}:{p.namespace}:{p.name}" for p in witness.parties]
        for key in ids:
            nodes.setdefault(key, {"id": key, "evidence": []})
        for i in range(len(witness.nodes)):
            row = nodes[ids[int(witness.nodes.party[i])]]
            _give(
                row,
                witness,
                witness.nodes.requests[i],
                witness.nodes.failed[i],
                seconds,
                witness.nodes.latency[i],
            )
        for i in range(len(witness.edges)):
            table = witness.edges
            source, target = ids[int(table.source[i])], ids[int(table.target[i])]
            key = f"{source}>{target}>{table.protocol[i]}"
            row = edges.setdefault(key, {"id": key, "source": source, "target": target, "evidence": []})
            _give(row, witness, table.requests[i], table.failed[i], seconds, table.client_latency[i])
    for row in (*nodes.values(), *edges.values()):
        row["p95"] = _quantile(row.pop("latency", None), 0.95)
    return {"nodes": nodes, "edges": edges}


def _give(row, witness, requests, failed, seconds, latency) -> None:
    row["evidence"].append({"source": witness.evidence, "rps": float(requests) / seconds})
    if "rps" not in row:
        row["rps"] = float(requests) / seconds
        row["error_ratio"] = float(failed) / float(requests) if requests else None
    if not any(row.get("latency", ())):
        row["latency"] = [float(value) for value in latency]


def _quantile(counts, wanted: float):
    total = sum(counts or ())
    if not total:
        return None
    seen = 0.0
    for i, count in enumerate(counts):
        if seen + count >= wanted * total:
            share = (wanted * total - seen) / count if count else 0.0
            return float(BOUNDS[i] + share * (BOUNDS[i + 1] - BOUNDS[i]))
        seen += count
    return float(BOUNDS[-1])
