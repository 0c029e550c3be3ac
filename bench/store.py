"""The store: a row per edge and minute against one blob per minute, on SQLite and on a real PostgreSQL.

Five edges per service, independent noise in every cell (pessimistic for compression), one edge-minute in
fifty unknown, nine histogram buckets in use per edge. Environment: SIZE, ROUNDS, MINUTES.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from app.model.fleet import Frame
from app.model.series import BUCKETS, Window
from app.store import frames
from app.store.engine import Store
from bench.harness import compare, growth, load, number, provenance, sizes, tree_cpu
from bench.naive import store_rows as naive
from tests.support import postgres

SEED = 7
START = datetime(2026, 11, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def make(services: int, index: int) -> Frame:
    rng = np.random.default_rng([SEED, index])
    edges = services * 5
    names = [f"demo:shop:service-{i:04d}" for i in range(services)]
    ids = tuple(
        f"{names[i % services]}>{names[(i * 7 + i // services + 1) % services]}" for i in range(edges)
    )

    def counts(rows: int, mean: float) -> np.ndarray:
        values = rng.poisson(mean, rows).astype(float)
        values[rng.random(rows) < 0.02] = np.nan
        return values

    latency = np.zeros((edges, BUCKETS))
    middle = rng.integers(40, 80, edges)
    for step in range(-4, 5):
        latency[np.arange(edges), middle + step] = rng.poisson(40 / (1 + abs(step)), edges)
    health = tuple(np.where(rng.random(edges) < 0.97, "healthy", "degraded").tolist())
    none = np.zeros(0)
    return Frame(
        "demo",
        START + index * MINUTE,
        MINUTE,
        (),
        none,
        none,
        np.zeros((0, BUCKETS)),
        ids,
        counts(edges, 300.0),
        counts(edges, 3.0),
        latency,
        (),
        health,
    )


def same_moment(rows, frame: Frame) -> bool:
    if len(rows) != len(frame.edge_ids):
        return False
    wanted = [rows[edge] for edge in frame.edge_ids]
    columns = [np.array([row[i] if row[i] is not None else np.nan for row in wanted], float) for i in (0, 1)]
    return (
        np.array_equal(columns[0], frame.edge_requests, equal_nan=True)
        and np.array_equal(columns[1], frame.edge_failed, equal_nan=True)
        and np.array_equal(np.array([row[2] for row in wanted]), frame.edge_latency)
        and [row[3] for row in wanted] == list(frame.edge_health)
    )


def same_hour(rows, frame: Frame) -> bool:
    for i, edge in enumerate(frame.edge_ids):
        requests, failed, histogram = rows[edge]
        found = {
            str(bucket): int(frame.edge_latency[i, bucket])
            for bucket in np.flatnonzero(frame.edge_latency[i])
        }
        if (requests, failed, histogram) != (frame.edge_requests[i], frame.edge_failed[i], found):
            return False
    return True


def same_line(rows, line: frames.Line) -> bool:
    found = np.array([[np.nan if value is None else value for value in row[1:]] for row in rows], float)
    return np.array_equal(found[:, 0], line.requests, equal_nan=True) and np.array_equal(
        found[:, 1], line.failed, equal_nan=True
    )


def cases(store: Store, services: int, minutes: int, server_cpu: Callable[[], float]) -> float:
    """Run every case on one store; the CPU seconds of `at` for the growth curve."""
    rows = store.engine
    naive.create(rows)
    fleet = [make(services, i) for i in range(minutes)]
    label = f"{store.dialect} {services:,} services"
    shared = {"server_cpu": server_cpu}

    spare = iter(fleet * 2)
    others = iter(fleet * 2)

    def write_rows() -> None:
        naive.write(rows, next(spare))

    def write_blob() -> None:
        with store.begin() as session:
            frames.write(session, next(others))

    rounds = 5
    print(
        compare(
            f"{label}: write a minute",
            write_rows,
            write_blob,
            repeat=minutes // rounds,
            rounds=rounds,
            **shared,
        )
    )
    for left in spare:
        if left is fleet[0]:
            break
        naive.write(rows, left)
    for left in others:
        if left is fleet[0]:
            break
        with store.begin() as session:
            frames.write(session, left)

    middle = fleet[minutes // 2].start
    seconds = int(middle.timestamp())

    def moment_of_blob() -> Frame | None:
        with store.reading() as session:
            return frames.at(session, "demo", middle)

    moment = compare(
        f"{label}: topology at T",
        lambda: naive.at(rows, seconds),
        moment_of_blob,
        same=same_moment,
        repeat=10,
        **shared,
    )
    print(moment)
    print(
        compare(
            f"{label}: at T, rows without histograms",
            lambda: naive.numbers(rows, seconds),
            moment_of_blob,
            repeat=10,
            **shared,
        )
    )
    with store.begin() as session:
        end = START + minutes * MINUTE
        frames.roll_up(session, "demo", end)
        frames.compact(session, "demo", end)
    long_window(store, label, minutes, shared)
    if minutes >= 60:
        one_edge(store, label, fleet[0].edge_ids[3], minutes // 60, shared)
    print(bytes_per_row(store, services, minutes))
    return moment.chosen[1]


def long_window(store: Store, label: str, minutes: int, shared: dict) -> None:
    long = min(60, minutes)
    # one minute less than whole rollups, so that minutes and rollups are both read
    window = Window(START + MINUTE, START + long * MINUTE)
    bounds = int(window.start.timestamp()), int(window.end.timestamp())

    def blobs() -> Frame | None:
        with store.reading() as session:
            return frames.merged(session, "demo", window)

    name = f"{label}: over {long - 1} minutes"
    rows = store.engine
    print(compare(name, lambda: naive.over(rows, *bounds), blobs, same=same_hour, rounds=3, **shared))


def one_edge(store: Store, label: str, edge: str, hours: int, shared: dict) -> None:
    window = Window(START, START + hours * timedelta(hours=1))
    ends = int(window.start.timestamp()), int(window.end.timestamp())

    def chunks() -> frames.Line:
        with store.reading() as session:
            return frames.series(session, "demo", [edge], window, MINUTE).lines[edge]

    name = f"{label}: one edge, {hours} h of minutes"
    rows = store.engine
    print(compare(name, lambda: naive.line(rows, edge, *ends), chunks, same=same_line, repeat=5, **shared))


def bytes_per_row(store: Store, services: int, minutes: int) -> str:
    from sqlalchemy import text

    with store.reading() as session:
        blobs = session.scalar(text("SELECT sum(length(body)) FROM frames WHERE tier = 60"))
        names = session.scalar(text("SELECT sum(length(body)) FROM frame_names"))
        chunks = session.scalar(text("SELECT sum(length(body)) FROM frame_chunks WHERE tier = 60"))
        if store.dialect == "sqlite":
            rows = session.scalar(text("SELECT sum(pgsize) FROM dbstat WHERE name LIKE '%edge_minutes%'"))
        else:
            rows = session.scalar(text("SELECT pg_total_relation_size('edge_minutes')"))
    cells = services * 5 * minutes
    return (
        f"{store.dialect} {services:,} services: bytes per edge-minute  rows {rows / cells:.1f}"
        f"  blobs {blobs / cells:.1f}  chunks {(chunks or 0) / cells:.1f}  names {names / 1e3:.0f} kB once"
        f"  x{rows / (blobs or 1):.1f}"
    )


def main() -> None:
    print(provenance(SEED, "120 minutes of 100 services, 30 of more (MINUTES)"))
    with ExitStack() as stack:
        server = stack.enter_context(postgres.running())
        for dialect in ("sqlite", "postgresql"):
            points = []
            for services in sizes():
                home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                url = "sqlite:///store.db" if dialect == "sqlite" else server.fresh_database()
                store = Store(url, home)
                store.migrate()
                cpu = (lambda: tree_cpu(server.pid)) if dialect == "postgresql" else (lambda: 0.0)
                minutes = number("MINUTES", 120 if services <= 100 else 30)
                points.append((services, cases(store, services, minutes, cpu)))
                store.dispose()
            if len(points) > 1:
                print(f"{dialect}: topology at T, {growth(points)}")
    print(load())


if __name__ == "__main__":
    main()
