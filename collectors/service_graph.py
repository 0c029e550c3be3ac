"""Service-graph metrics of Tempo and the OpenTelemetry connector, under any prefix (reference: topology 3).

Which histogram tells the truth depends on the connection: a side that is not instrumented is recorded as 0 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.model.fleet import EdgeKind, EvidenceKind, Identity, NodeKind, Witness, no_node_traffic
from collectors.families import GRAPH_ENGINES, Found
from collectors.readings import EdgeKey
from collectors.tally import Outcome, Reading, Tally
from collectors.witness import Moment, Parties, edge_traffic

_USER = "user"


@dataclass(frozen=True, slots=True)
class _Call:
    """An edge of the service graph under its own labels."""

    client: Identity
    server: Identity
    connection: str
    virtual: str
    engine: str


def read_graph(_found: Found, labels: Mapping[str, str]) -> Reading | None:
    """A row of any of the family's metrics. Absence of the failed counter means that nothing failed yet."""
    client, server = labels.get("client", "")[:253], labels.get("server", "")[:253]
    if not client or not server:
        return None
    call = _Call(
        Identity(name=client, namespace=_namespace(labels, "client")),
        Identity(name=server, namespace=_namespace(labels, "server")),
        labels.get("connection_type", ""),
        labels.get("virtual_node", ""),
        next((labels[name][:60].lower() for name in GRAPH_ENGINES if labels.get(name)), ""),
    )
    return Reading(call, call, Outcome.SUCCESS)


def _namespace(labels: Mapping[str, str], side: str) -> str:
    return labels.get(f"{side}_k8s_namespace_name", "") or labels.get(f"{side}_service_namespace", "")


def graph_witness(tally: Tally, moment: Moment, time: int = 0) -> Witness:
    """Edges only: virtual callers are missing from the sum of a node's edges, so nodes are not judged from them."""
    rows = np.flatnonzero(~np.isnan(tally.requests[:, time]))
    calls = [call for row in rows if isinstance(call := tally.keys[row], _Call)]
    silent = tally.server_time[rows, time] <= 0
    sides = [_virtual_side(call, bool(quiet)) for call, quiet in zip(calls, silent, strict=True)]
    keys = [_edge(call, side) for call, side in zip(calls, sides, strict=True)]
    has_client = np.array([side != "client" for side in sides], bool)[:, None]
    has_server = np.array(
        [side != "server" and call.connection != "database" for call, side in zip(calls, sides, strict=True)],
        bool,
    )[:, None]
    parties = Parties()
    edges = edge_traffic(
        parties,
        keys,
        requests=tally.requests[rows, time],
        failed=tally.failed[rows, time],
        caller_errors=np.zeros(len(rows)),
        client_latency=np.where(has_client, tally.latency[rows, time], 0.0),
        server_latency=np.where(has_server, tally.server_latency[rows, time], 0.0),
    )
    return Witness(
        EvidenceKind.SERVICE_GRAPH, moment.as_of, moment.window, parties.all(), no_node_traffic(), edges, None
    )


def _virtual_side(call: _Call, server_silent: bool) -> str:
    """Which side has no spans of its own: client, server or none. A silent server histogram means the server."""
    if call.connection != "virtual_node":
        return ""
    if call.virtual in {"client", "server"}:
        return call.virtual
    if call.client.name == _USER:
        return "client"
    return "server" if server_silent else "client"


def _edge(call: _Call, side: str) -> EdgeKey:
    if call.connection == "database":
        target = Identity(
            kind=NodeKind.DATABASE,
            engine=call.engine,
            address=call.server.name,
            alias=call.server.name,
            scope=call.client.name,
        )
        return EdgeKey(call.client, target, call.engine or "database")
    if call.connection == "messaging_system":
        return EdgeKey(call.client, call.server, "messaging", EdgeKind.ASYNC)
    if side == "server":
        target = Identity(kind=NodeKind.EXTERNAL, address=call.server.name, alias=call.server.name)
        return EdgeKey(call.client, target, "http")
    if side == "client":
        source = Identity(kind=NodeKind.CLIENT, name=call.client.name)
        return EdgeKey(source, call.server, "http")
    return EdgeKey(call.client, call.server, "http")
