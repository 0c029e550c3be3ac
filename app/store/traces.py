"""Example traces: the spans of each as one blob, and the calls they are examples of.

A call is written under the names its spans use; `place` puts the ids of nodes in their stead, which only an
evaluation knows. Only placed calls are found by service or edge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, func, or_, select, update
from sqlalchemy.orm import Session

from app import clock
from app.model.example import Example, ExampleCall, Why
from app.model.fleet import Identity
from app.model.span import Trace
from app.store import topics
from app.store.blob import Codec
from app.store.tables import trace_bodies, trace_calls, traces
from app.store.write import run, storable, upsert

STRETCH = 600  # seconds; of each edge the best examples of such a stretch are kept
_LATER = 3600  # and later on those of an hour
FULL_FOR = timedelta(hours=2)
_BEST = {Why.SLOW: 2, Why.FAILED: 2, Why.TYPICAL: 1}
MOST_BYTES = 256 << 20
_MOST_UNPLACED = 2_000
_DOOMED = 500  # traces removed with one statement

_codec = Codec(Trace)
_party = msgspec.json.Decoder(Identity)


@dataclass(frozen=True, slots=True)
class KeptCall:
    """A call of a kept trace between two nodes; `duration` in seconds."""

    span_id: str
    caller: str
    callee: str
    why: Why
    duration: float
    failed: bool


@dataclass(frozen=True, slots=True)
class KeptTrace:
    """What is listed of a trace: `root` = where it begins, `duration` = that span's (s)."""

    cluster: str
    trace_id: str
    start: datetime
    duration: float
    failed: bool
    spans: int
    services: int
    root: str
    calls: tuple[KeptCall, ...]


def put(session: Session, examples: Sequence[Example]) -> None:
    """Keep traces; one that is there already keeps its spans unless now there are more, and gains the calls."""
    now = clock.now()
    for example in examples:
        row = _row(example.trace, now)
        body = _codec.pack(example.trace)
        at = {"cluster": row["cluster"], "trace_id": row["trace_id"]}
        have = session.scalar(select(traces.c.spans).where(_is(traces, **at)))
        if have is None or have < row["spans"]:
            upsert(session, traces, [{**row, "bytes": len(body)}], key=("cluster", "trace_id"))
            upsert(session, trace_bodies, [{**at, "body": body}], key=("cluster", "trace_id"))
        calls = [_call_row(example.trace, call) for call in example.calls]
        upsert(session, trace_calls, calls, key=("cluster", "trace_id", "span_id", "why"))


def place(session: Session, cluster: str, node: Callable[[Identity], str]) -> int:
    """Write ids of nodes where names of parties stand; how many calls found their nodes."""
    unplaced = (trace_calls.c.cluster == cluster) & ~trace_calls.c.placed
    columns = (trace_calls.c.trace_id, trace_calls.c.span_id, trace_calls.c.why)
    query = select(*columns, trace_calls.c.caller, trace_calls.c.callee).where(unplaced).limit(_MOST_UNPLACED)
    found = session.execute(query).all()
    for row in found:
        ends = {"caller": node(_party.decode(row.caller)), "callee": node(_party.decode(row.callee))}
        mine = _is(trace_calls, cluster=cluster, trace_id=row.trace_id, span_id=row.span_id, why=row.why)
        run(session, update(trace_calls).where(mine).values(placed=True, **ends))
    if found:
        topics.bump(session, "traces")
    return len(found)


def for_service(session: Session, node: str, **wanted: Any) -> list[KeptTrace]:
    """Traces kept for a call from or to a node; `wanted` as for `for_edge`."""
    return _listed(session, or_(trace_calls.c.caller == node, trace_calls.c.callee == node), **wanted)


def for_edge(session: Session, caller: str, callee: str, **wanted: Any) -> list[KeptTrace]:
    """Traces kept for a call of one edge, the newest first.

    `min_duration`: the call's, in seconds. `failed`: only failed calls. `start`, `end`: when the call was.
    `limit`: how many traces.
    """
    return _listed(session, (trace_calls.c.caller == caller) & (trace_calls.c.callee == callee), **wanted)


def get(session: Session, trace_id: str, cluster: str | None = None) -> Trace | None:
    """A kept trace by its id, of one cluster or of whichever has it."""
    mine = trace_bodies.c.trace_id == trace_id
    if cluster is not None:
        mine &= trace_bodies.c.cluster == cluster
    body = session.scalar(select(trace_bodies.c.body).where(mine).order_by(trace_bodies.c.cluster).limit(1))
    return None if body is None else _codec.unpack(body)


def calls_of(session: Session, cluster: str, trace_id: str) -> list[KeptCall]:
    """The calls a trace is kept for."""
    mine = _is(trace_calls, cluster=cluster, trace_id=trace_id) & trace_calls.c.placed
    return [
        _call(row) for row in session.execute(select(trace_calls).where(mine).order_by(trace_calls.c.why))
    ]


def forget(session: Session, now: datetime, age: timedelta, *, most_bytes: int = MOST_BYTES) -> int:
    """Remove old traces, thin out what is older than FULL_FOR, and hold the rest to `most_bytes`; how many went.

    Within each stretch an edge keeps its two slowest, two failed and one typical call; a trace none of whose calls is
    kept goes, too.
    """
    run(session, trace_calls.delete().where(trace_calls.c.at < now - age))
    _thin(session, STRETCH, trace_calls.c.at >= now - FULL_FOR)
    _thin(session, _LATER, trace_calls.c.at < now - FULL_FOR)
    held = (trace_calls.c.cluster == traces.c.cluster) & (trace_calls.c.trace_id == traces.c.trace_id)
    idle = select(traces.c.cluster, traces.c.trace_id).where(~select(trace_calls.c.why).where(held).exists())
    return _remove(session, session.execute(idle).all()) + _hold_to(session, most_bytes)


def size(session: Session) -> tuple[int, int]:
    """(traces, bytes of their blobs)."""
    count, total = session.execute(select(func.count(), func.sum(traces.c.bytes)).select_from(traces)).one()
    return int(count), int(total or 0)


def _listed(
    session: Session,
    mine: ColumnElement[bool],
    *,
    min_duration: float = 0.0,
    failed: bool = False,
    start: datetime | None = None,
    end: datetime | None = None,
    limit: int = 100,
) -> list[KeptTrace]:
    mine &= trace_calls.c.placed & (trace_calls.c.duration >= min_duration)
    if failed:
        mine &= trace_calls.c.failed
    if start is not None:
        mine &= trace_calls.c.at >= start
    if end is not None:
        mine &= trace_calls.c.at < end
    ids = (trace_calls.c.cluster, trace_calls.c.trace_id)
    newest = select(*ids).where(mine).group_by(*ids).order_by(func.max(trace_calls.c.at).desc()).limit(limit)
    wanted = newest.subquery()
    of_call = (trace_calls.c.cluster == wanted.c.cluster) & (trace_calls.c.trace_id == wanted.c.trace_id)
    of_trace = (traces.c.cluster == wanted.c.cluster) & (traces.c.trace_id == wanted.c.trace_id)
    calls: dict[tuple[str, str], list[KeptCall]] = {}
    for row in session.execute(select(trace_calls).join(wanted, of_call).where(mine)):
        calls.setdefault((row.cluster, row.trace_id), []).append(_call(row))
    rows = session.execute(select(traces).join(wanted, of_trace).order_by(traces.c.start.desc()))
    return [_kept(row, calls.get((row.cluster, row.trace_id), [])) for row in rows]


def _thin(session: Session, stretch: int, where: ColumnElement[bool]) -> None:
    """Of each edge, reason and stretch (seconds) keep the best calls among those that `where` holds of."""
    columns = [trace_calls.c[name] for name in ("cluster", "trace_id", "span_id", "why")]
    length = trace_calls.c.stretch * STRETCH // stretch
    rank = func.row_number().over(
        partition_by=[trace_calls.c.caller, trace_calls.c.callee, trace_calls.c.why, length],
        order_by=[trace_calls.c.duration.desc(), trace_calls.c.trace_id],
    )
    ranked = select(*columns, rank.label("rank")).where(where & trace_calls.c.placed).subquery()
    over = or_(*((ranked.c.why == why) & (ranked.c.rank > best) for why, best in _BEST.items()))
    for row in session.execute(select(ranked).where(over)).all():
        mine = _is(trace_calls, cluster=row.cluster, trace_id=row.trace_id, span_id=row.span_id, why=row.why)
        run(session, trace_calls.delete().where(mine))


def _hold_to(session: Session, most: int) -> int:
    """Remove the oldest traces until the rest is small enough."""
    excess = size(session)[1] - most
    if excess <= 0:
        return 0
    doomed = []
    for row in session.execute(
        select(traces.c.cluster, traces.c.trace_id, traces.c.bytes).order_by(traces.c.kept_at)
    ):
        if excess <= 0:
            break
        doomed.append((row.cluster, row.trace_id))
        excess -= row.bytes
    return _remove(session, doomed)


def _remove(session: Session, doomed: Sequence[Any]) -> int:
    by_cluster: dict[str, list[str]] = {}
    for cluster, trace_id in doomed:
        by_cluster.setdefault(cluster, []).append(trace_id)
    for cluster, ids in by_cluster.items():
        for first in range(0, len(ids), _DOOMED):
            some = ids[first : first + _DOOMED]
            for table in (traces, trace_bodies, trace_calls):
                run(session, table.delete().where((table.c.cluster == cluster) & table.c.trace_id.in_(some)))
    if doomed:
        topics.bump(session, "traces")
    return len(doomed)


def _row(trace: Trace, now: datetime) -> dict[str, Any]:
    root = min(trace.spans, key=lambda span: (bool(span.parent_id), -span.duration))
    return {
        "cluster": trace.cluster,
        "trace_id": trace.trace_id,
        "start": datetime.fromtimestamp(root.start / 1e9, UTC),
        "kept_at": now,
        "duration": root.duration / 1e9,
        "failed": any(span.status == "error" for span in trace.spans),
        "spans": len(trace.spans) + trace.cut,
        "services": len({(span.namespace, span.service) for span in trace.spans}),
        "root": storable(f"{root.service}: {root.name}"),
    }


def _call_row(trace: Trace, call: ExampleCall) -> dict[str, Any]:
    span = next((span for span in trace.spans if span.span_id == call.span_id), trace.spans[0])
    return {
        "cluster": trace.cluster,
        "trace_id": trace.trace_id,
        "span_id": call.span_id,
        "why": str(call.why),
        "caller": storable(msgspec.json.encode(call.caller).decode()),
        "callee": storable(msgspec.json.encode(call.callee).decode()),
        "placed": False,
        "at": datetime.fromtimestamp(span.start / 1e9, UTC),
        "stretch": span.start // (STRETCH * 10**9),
        "duration": call.duration,
        "failed": call.failed,
    }


def _kept(row: Row[Any], calls: list[KeptCall]) -> KeptTrace:
    return KeptTrace(
        cluster=row.cluster,
        trace_id=row.trace_id,
        start=row.start,
        duration=row.duration,
        failed=row.failed,
        spans=row.spans,
        services=row.services,
        root=row.root,
        calls=tuple(sorted(calls, key=lambda call: (list(Why).index(call.why), -call.duration))),
    )


def _call(row: Row[Any]) -> KeptCall:
    return KeptCall(row.span_id, row.caller, row.callee, Why(row.why), row.duration, row.failed)


def _is(table: Any, **values: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = table.c.cluster == values.pop("cluster")
    for name, value in values.items():
        found &= table.c[name] == value
    return found
