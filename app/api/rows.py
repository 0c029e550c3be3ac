"""Nodes and calls as rows of answers; their common parts are those of the topology document."""

from __future__ import annotations

from typing import Any

from app.model.fleet import Edge, Node
from app.understand import document

Row = dict[str, Any]


def node_row(node: Node) -> Row:
    """A service or inferred node, with its objectives."""
    row = document.node(node)
    del row["x"], row["y"]
    return {**row, "slos": []}


def call_row(edge: Edge, other: str, names: dict[str, str]) -> Row:
    """An edge seen from one of its ends; `other` is the id of the far end."""
    row = document.edge(edge)
    del row["source"], row["target"]
    return {**row, "node": other, "name": names.get(other, other)}
