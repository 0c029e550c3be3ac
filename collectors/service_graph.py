"""Service-graph metrics of Tempo and the OpenTelemetry connector, under any prefix (reference: topology 3).

Which histogram tells the truth depends on the connection: a side that is not instrumented is recorded as 0 s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.model.fleet import EdgeKind, EvidenceKind, Identity, NodeKind, Witness, no_node_traffic
from collectors.families import GRAPH_ENGINES, Found
from collectors.readings import EdgeKey
from collectors.tally import Outcome, Reading, Tally
from collectors.witness import Moment, Parties, edge_traffic

_USER = "user"
CLIENT_ERRORS = "errors incl. client-side 4xx"  # either side's ERROR counts, and HTTP clients set it on 4xx


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
    services = _services(calls, sides)
    keys = [_edge(call, side, services) for call, side in zip(calls, sides, strict=True)]
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
        floor=tally.floor[rows],
        notes=(CLIENT_ERRORS,) * len(rows),
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


def _services(calls: Sequence[_Call], sides: Sequence[str]) -> dict[str, Identity]:
    """Who has spans of its own, by name: a call whose other half was lost still goes to one of them."""
    found: dict[str, Identity] = {}
    for call, side in zip(calls, sides, strict=True):
        if side != "client":
            found.setdefault(call.client.name, call.client)
        if side != "server" and call.connection != "database":
            found.setdefault(call.server.name, call.server)
    return found


def _edge(call: _Call, side: str, services: Mapping[str, Identity]) -> EdgeKey:
    """The pair under names that other sources use too. The graph does not tell protocols."""
    if call.connection == "database":
        target = Identity(
            kind=NodeKind.DATABASE,
            engine=call.engine,
            address=call.server.name,
            alias=call.server.name,
            scope=call.client.name,
        )
        return EdgeKey(call.client, target, call.engine)
    if call.connection == "messaging_system":
        return EdgeKey(call.client, call.server, "messaging", EdgeKind.ASYNC)
    if side == "client":
        return EdgeKey(Identity(name=call.client.name, kind=NodeKind.CLIENT), call.server, "")
    if side == "server" and call.server.name not in services:
        target = Identity(kind=NodeKind.EXTERNAL, address=call.server.name, alias=call.server.name)
        return EdgeKey(call.client, target, "")
    return EdgeKey(call.client, services.get(call.server.name, call.server) if side else call.server, "")
