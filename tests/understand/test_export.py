"""Files for other programs, from names that mean harm."""

from __future__ import annotations

import csv
import io
import re

import pytest

from app.model.fleet import Edge, EdgeKind, Health, HealthStatus, Latency, Node, NodeKind, Topology
from app.understand.export import COLUMNS, as_csv, dot
from tests.support.fleets import MINUTE, NOON

HOSTILE = [
    '=HYPERLINK("http://x","y")',
    "+1",
    "-1+2",
    "@SUM(A1)",
    "\t=1",
    'a"]; evil [label="b',
    "back\\",
    "line\nbreak\r",
    "\\N \\G",
    "\u202egnol\x00",
    ", ; ''",
]


def fleet() -> Topology:
    nodes = tuple(
        Node(
            f"demo:{i}",
            name,
            NodeKind.SERVICE,
            "demo",
            Health(HealthStatus.HEALTHY),
            namespace=name,
            rps=None,
        )
        for i, name in enumerate(HOSTILE)
    )
    edges = tuple(
        Edge(
            f"e{i}",
            nodes[0].id,
            node.id,
            EdgeKind.ASYNC,
            node.name,
            Health(HealthStatus.FAILING),
            rps=3.0,
            server_latency=Latency(p95=0.2),
        )
        for i, node in enumerate(nodes)
    )
    return Topology("demo", NOON, MINUTE, nodes, edges)


def test_a_table_has_a_row_per_node_and_edge_and_no_cell_is_a_formula():
    rows = list(csv.reader(io.StringIO(as_csv(fleet()), newline="")))
    assert rows[0] == COLUMNS
    assert [row[0] for row in rows[1:]] == ["node"] * len(HOSTILE) + ["edge"] * len(HOSTILE)
    assert not [cell for row in rows for cell in row if cell.lstrip()[:1] in ("=", "+", "-", "@")]
    assert {len(row) for row in rows} == {len(COLUMNS)}


def test_what_is_not_known_is_an_empty_cell_and_never_zero():
    rows = list(csv.DictReader(io.StringIO(as_csv(fleet()), newline="")))
    assert rows[0]["rps"] == ""
    assert (rows[-1]["rps"], rows[-1]["server_p95_seconds"]) == ("3.0", "0.2")


STRING = r'"(?:[^"\\\n]|\\["\\n])*"'
ATTRIBUTES = rf"\[\w+={STRING}(?:, \w+={STRING})*\]"


def test_every_line_of_the_graph_is_a_statement_whatever_names_hold():
    known = [
        r"digraph topology \{|\}|  \}|  subgraph cluster_\d+ \{",
        rf'    label={STRING};|  rankdir="LR";',
        rf"  node {ATTRIBUTES};",
        rf"  {STRING} {ATTRIBUTES};",
        rf"  {STRING} -> {STRING} {ATTRIBUTES};",
    ]
    statement = re.compile("|".join(known))
    lines = dot(fleet()).splitlines()
    assert [line for line in lines if not statement.fullmatch(line)] == []
    assert sum(" -> " in line for line in lines) == len(HOSTILE)


@pytest.mark.parametrize("text", ["digraph topology {", 'style="dashed"', 'shape="box"', "#b3261e"])
def test_the_graph_tells_kinds_and_health(text):
    assert text in dot(fleet())
