"""A topology for other programs: DOT for Graphviz, CSV for tables. Names are foreign and hostile in both.

JSON is the document of the API itself (`document`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from app.model.fleet import Edge, EdgeKind, HealthStatus, Node, NodeKind, Topology
from app.understand import document

FORMATS = ("dot", "json", "csv")
MEDIA = {"dot": "text/vnd.graphviz", "json": "application/json", "csv": "text/csv"}
_LONGEST = 500  # characters of a name

_SHAPES = {
    NodeKind.SERVICE: "box",
    NodeKind.DATABASE: "cylinder",
    NodeKind.CACHE: "cylinder",
    NodeKind.QUEUE: "cds",
    NodeKind.EXTERNAL: "octagon",
    NodeKind.CLIENT: "circle",
}
_COLOURS = {
    HealthStatus.FAILING: "#b3261e",
    HealthStatus.DEGRADED: "#9a6700",
    HealthStatus.UNKNOWN: "#6b6f76",
    HealthStatus.MAINTENANCE: "#5b5bd6",
    HealthStatus.IDLE: "#9aa0a6",
    HealthStatus.HEALTHY: "#3a3f45",
}
COLUMNS = [
    "element",
    "id",
    "name",
    "kind",
    "cluster",
    "namespace",
    "owner",
    "source",
    "target",
    "protocol",
    "health",
    "reason",
    "rps",
    "error_ratio",
    "caller_error_ratio",
    "requests",
    "p50_seconds",
    "p95_seconds",
    "p99_seconds",
    "server_p95_seconds",
    "ready",
    "desired",
    "versions",
    "evidence",
    "as_of",
]


def dot(topology: Topology) -> str:
    """A directed graph; nodes in clusters by namespace, dashes for calls through queues."""
    lines = ["digraph topology {", '  rankdir="LR";', '  node [fontname="sans-serif"];']
    homes: dict[str, list[Node]] = {}
    for node in topology.nodes:
        homes.setdefault(f"{node.cluster}/{node.namespace}" if node.namespace else "", []).append(node)
    for number, (home, members) in enumerate(sorted(homes.items())):
        inside = [f"  {_quoted(node.id)} [{_attributes(_of_node(node))}];" for node in members]
        if home:
            inside = [f"  subgraph cluster_{number} {{", f"    label={_quoted(home)};", *inside, "  }"]
        lines += inside
    for edge in topology.edges:
        lines.append(f"  {_quoted(edge.source)} -> {_quoted(edge.target)} [{_attributes(_of_edge(edge))}];")
    return "\n".join([*lines, "}", ""])


def _of_node(node: Node) -> Iterator[tuple[str, str]]:
    yield "label", "\n".join([node.name, *_numbers(node)])
    yield "shape", _SHAPES[node.kind]
    yield "color", _COLOURS[node.health.status]
    yield "tooltip", f"{node.health.status.value} {document.first_reason(node.health)}".strip()


def _of_edge(edge: Edge) -> Iterator[tuple[str, str]]:
    yield "label", "\n".join([edge.protocol, *_numbers(edge)])
    yield "color", _COLOURS[edge.health.status]
    yield "tooltip", f"{edge.health.status.value} {document.first_reason(edge.health)}".strip()
    if edge.kind is EdgeKind.ASYNC:
        yield "style", "dashed"


def _numbers(one: Node | Edge) -> Iterator[str]:
    if one.rps is not None:
        yield f"{one.rps:.3g} rps"
    if one.error_ratio:
        yield f"errors {one.error_ratio * 100:.2g} %"


def _attributes(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name}={_quoted(value)}" for name, value in pairs)


def _quoted(text: str) -> str:
    """A DOT string: only `"` ends one; a backslash would begin an escape that Graphviz knows (\\N, \\G)."""
    plain = "".join(char if char.isprintable() or char == "\n" else " " for char in text[:_LONGEST])
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def as_csv(topology: Topology) -> str:
    """One table: a row per node, then a row per edge; an empty cell = not known. Cells never begin a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in (*map(_node_row, topology.nodes), *map(_edge_row, topology.edges)):
        writer.writerow([_cell(row.get(column)) for column in COLUMNS])
    return out.getvalue()


def _node_row(node: Node) -> dict[str, object]:
    return {
        "element": "node",
        "id": node.id,
        "name": node.name,
        "kind": node.kind.value,
        "cluster": node.cluster,
        "namespace": node.namespace,
        "owner": node.owner,
        "ready": node.replicas.ready,
        "desired": node.replicas.desired,
        "versions": " ".join(node.versions),
        **_measured(node),
    }


def _edge_row(edge: Edge) -> dict[str, object]:
    return {
        "element": "edge",
        "id": edge.id,
        "kind": edge.kind.value,
        "source": edge.source,
        "target": edge.target,
        "protocol": edge.protocol,
        "caller_error_ratio": document.rounded(edge.caller_error_ratio, 6),
        "server_p95_seconds": edge.server_latency.p95,
        **_measured(edge),
    }


def _measured(one: Node | Edge) -> dict[str, object]:
    return {
        "health": one.health.status.value,
        "reason": document.first_reason(one.health),
        "rps": document.rounded(one.rps),
        "error_ratio": document.rounded(one.error_ratio, 6),
        "requests": document.rounded(one.requests),
        "p50_seconds": one.latency.p50,
        "p95_seconds": one.latency.p95,
        "p99_seconds": one.latency.p99,
        "evidence": document.sources(one.evidence),
        "as_of": document.instant(one.as_of),
    }


def _cell(value: object) -> object:
    """Text that a spreadsheet would run as a formula is told apart by an apostrophe (OWASP, CSV injection)."""
    if not isinstance(value, str):
        return value
    plain = "".join(char if char.isprintable() else " " for char in value[: 4 * _LONGEST])
    return f"'{plain}" if plain.lstrip()[:1] in ("=", "+", "-", "@") else plain
