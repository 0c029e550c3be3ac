"""What the joins of the last minute amount to: parties, and their traffic in columns."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from app.model.fleet import EdgeKind, EdgeTraffic, EvidenceKind, Ints, NodeTraffic, Witness
from app.model.series import Floats
from collectors.span_crossing import Places
from collectors.span_fields import I64
from collectors.span_join import Joiner
from collectors.span_ledger import (
    CALLER_ERRORS,
    CLIENT,
    EVER,
    FAILED,
    RAW,
    REQUESTS,
    SEEN,
    SERVER,
    STEP_NS,
    Cells,
    cells,
)
from collectors.span_peers import Role


def witness(
    joiner: Joiner, *, first_step: int, end_step: int = EVER, as_of: datetime, window: timedelta
) -> Witness:
    """The evidence of all spans from `first_step` on, before `end_step`."""
    nodes = _nodes(joiner, first_step, end_step)
    resolved = joiner.parties.resolved()
    edges, row_of = _edges(joiner, resolved, first_step, end_step)
    used = np.unique(np.concatenate([nodes.party, edges.source, edges.target]))
    renumbered = np.full(len(joiner.parties.identities), -1, np.int32)
    renumbered[used] = np.arange(len(used), dtype=np.int32)
    requests = float(nodes.requests.sum() + edges.requests.sum())
    raw = float(nodes.raw.sum() + edges.raw.sum())
    return Witness(
        evidence=EvidenceKind.TRACES,
        as_of=as_of,
        window=window,
        parties=tuple(joiner.parties.told(number) for number in used.tolist()),
        nodes=replace(nodes, party=renumbered[nodes.party]),
        edges=replace(edges, source=renumbered[edges.source], target=renumbered[edges.target]),
        sampling_ratio=min(raw / requests, 1.0) if requests else 1.0,
        crossings=joiner.crossings.told(_places(joiner, resolved, renumbered, row_of)),
    )


def _nodes(joiner: Joiner, first_step: int, end_step: int) -> NodeTraffic:
    """One row per service and version of which any span was seen; zero requests = none came in."""
    rows = joiner.parties.version_rows
    total = joiner.node_ledger.total(first_step, len(rows), end=end_step)
    seen = np.flatnonzero((total[:, SEEN] > 0) | (total[:, REQUESTS] > 0))
    found = total[seen]
    return NodeTraffic(
        party=np.array([rows[row][0] for row in seen.tolist()], np.int32),
        requests=found[:, REQUESTS].copy(),
        failed=found[:, FAILED].copy(),
        raw=found[:, RAW].copy(),
        latency=found[:, SERVER:],
        versions=tuple(rows[row][1] for row in seen.tolist()),
    )


def _places(joiner: Joiner, resolved: I64, renumbered: Ints, row_of: I64) -> Places:
    """How the numbers of the joiner read in the witness."""
    source, target = (np.array(side, np.int64) for side in (joiner.edges.source, joiner.edges.target))
    return Places(renumbered.astype(np.int64), row_of, resolved[source], resolved[target])


def _edges(joiner: Joiner, resolved: I64, first_step: int, end_step: int) -> tuple[EdgeTraffic, I64]:
    """Traffic of edges, and where each row of the joiner is found in it (-1 = nowhere)."""
    extra = _unanswered_so_far(joiner, resolved, first_step, end_step)
    rows = joiner.edges
    total = joiner.edge_ledger.total(first_step, len(rows), extra, end=end_step)
    live = np.flatnonzero(total[:, REQUESTS] > 0)
    source = resolved[np.array(rows.source, np.int64)[live]]
    target = resolved[np.array(rows.target, np.int64)[live]]
    role = np.array(rows.role, np.int64)[live]
    drawn = (source != target) & ~_told_twice(source, target, role)
    live, source, target, role = live[drawn], source[drawn], target[drawn], role[drawn]
    names = [rows.protocol[row] for row in live.tolist()]
    protocols = sorted(set(names))
    speaks = np.searchsorted(np.array(protocols or [""]), np.array(names or [""]))[: len(live)]
    queued = (role != Role.CALL).astype(np.int64)
    keys = (source << 40) | (target << 16) | (speaks << 1) | queued
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], keys[order][1:] != keys[order][:-1]])[: len(order)])
    first = order[starts]
    merged: Floats = total[live[order]]
    if len(first) < len(order):
        merged = np.add.reduceat(merged, starts)
    row_of = np.full(len(rows), -1, np.int64)
    row_of[live[order]] = np.repeat(np.arange(len(starts)), np.diff([*starts, len(order)]))
    traffic = EdgeTraffic(
        source=source[first].astype(np.int32),
        target=target[first].astype(np.int32),
        requests=merged[:, REQUESTS].copy(),
        failed=merged[:, FAILED].copy(),
        caller_errors=merged[:, CALLER_ERRORS].copy(),
        raw=merged[:, RAW].copy(),
        client_latency=merged[:, CLIENT:SERVER],
        server_latency=merged[:, SERVER:],
        protocol=tuple(names[at] for at in first.tolist()),
        kind=tuple(EdgeKind.ASYNC if queued[at] else EdgeKind.SYNC for at in first.tolist()),
    )
    return traffic, row_of


def _unanswered_so_far(joiner: Joiner, resolved: I64, first_step: int, end_step: int) -> Cells | None:
    """Calls to known services whose server span has not come yet: counted now, completed when it does.

    A call to a name nobody answers to is not drawn before its wait is over, or every new service would show
    up as an external one first. Once it is drawn, those that still wait count too: the last seconds would be
    missing from its rate for ever.
    """
    settled = joiner.edge_ledger.total(first_step, len(joiner.edges), end=end_step)[:, REQUESTS] > 0
    drawn = np.array(joiner.edges.target, np.int64)[settled]
    halves = joiner.callers[(joiner.callers["peer"] >= 0)]
    known = joiner.parties.is_service()[resolved[halves["peer"]]]
    halves = halves[known | np.isin(halves["peer"], drawn)]
    step = halves["end"] // STEP_NS
    halves = halves[(step >= first_step) & (step < end_step)]
    if not len(halves):
        return None
    return cells(
        joiner.alone_rows(halves),
        weight=halves["weight"],
        raw=np.ones(len(halves)),
        outcome=halves["outcome"],
        client=halves["bucket"],
    )


def _told_twice(source: I64, target: I64, role: I64) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Rows of fetched batches whose messages are also counted one by one as they are handled."""
    code = (source << 32) | target
    twice: np.ndarray[tuple[int], np.dtype[np.bool_]] = (role == Role.RECEIVE) & np.isin(
        code, code[role == Role.PROCESS]
    )
    return twice
