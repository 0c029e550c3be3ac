"""Any moment in 30 days, and the difference of two quarters of an hour, at 1,000 services and 5,000 connections.

The store holds what retention leaves of a month: minutes of two hours (of 48), ten-minute rollups of a day (of 14),
hours of 30 days. A read looks at four rows by their key, so what is not filled in would cost it nothing. Every edge
keeps its own latency and rate with noise; every row says who saw it. Environment: SIZE.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from app.model.fleet import EvidenceKind, Frame, Heard, NodeKind, Topology
from app.model.series import BUCKETS, Window
from app.store import frames, live
from app.store.engine import Store
from app.store.frame_blob import decode_stored, encode_frame, encode_stored
from app.store.frame_rows import put
from app.store.frame_stretch import stretch
from app.understand.diff import Mark
from app.understand.diff_rows import Difference
from app.understand.past import from_frame
from app.web.documents import Documents, Question
from app.web.reader import Reader

SEED = 7
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Month:
    """A fleet whose elements keep their own ways."""

    def __init__(self, services: int) -> None:
        rng = np.random.default_rng(SEED)
        names = [f"demo:shop:service-{i:04d}" for i in range(services)]
        count = services * 5
        self.nodes = tuple(names)
        self.edges = tuple(
            sorted(
                f"{names[i % services]}>{names[(i * 7 + i // services + 1) % services]}>http"
                for i in range(count)
            )
        )
        self.middle = rng.integers(40, 72, services + count)
        self.rate = rng.gamma(2.0, 150.0, services + count)
        self.attributes = {
            name: {"kind": NodeKind.SERVICE.value, "name": name[-12:], "versions": "v1"} for name in names
        }
        self.attributes |= {edge: {"kind": "sync", "protocol": "http"} for edge in self.edges}

    def frame(self, start: datetime, length: timedelta) -> Frame:
        """One stretch of it."""
        rng = np.random.default_rng([SEED, int(start.timestamp())])
        rows, minutes = len(self.rate), length / MINUTE
        requests = rng.poisson(self.rate * minutes).astype(float)
        failed = rng.binomial(requests.astype(int), 0.002).astype(float)
        latency = np.zeros((rows, BUCKETS))
        for step, share in zip(range(-3, 4), (0.05, 0.1, 0.2, 0.3, 0.2, 0.1, 0.05), strict=True):
            latency[np.arange(rows), self.middle + step] = rng.poisson(requests * share)
        nodes = len(self.nodes)
        seen = EvidenceKind.MESH.bit | EvidenceKind.TRACES.bit
        heard = Heard(length.total_seconds())
        return Frame(
            "demo", start, length,
            self.nodes, requests[:nodes], failed[:nodes], latency[:nodes],
            self.edges, requests[nodes:], failed[nodes:], latency[nodes:],
            ("healthy",) * nodes, ("healthy",) * len(self.edges), self.attributes,
            np.full(nodes, seen, np.uint16), np.full(len(self.edges), seen, np.uint16),
            {"istio": heard, "traces": heard},
        )  # fmt: skip


def fill(store: Store, month: Month, reach: timedelta) -> dict[str, float]:
    """Write the tiers as far back as `reach`; mean bytes of a frame per tier.

    A few frames of each tier are made and stored again and again: the time of one read is all that matters here.
    """
    sizes: dict[str, float] = {}
    tiers = (
        ("minute", MINUTE, 2 * HOUR, 40),
        ("10 minutes", 10 * MINUTE, DAY, 3),
        ("hour", HOUR, 30 * DAY, 3),
    )
    for name, length, kept, different in tiers:
        starts = [NOW - (i + 1) * length for i in range(round(min(kept, reach) / length))]
        made = [encode_frame(month.frame(start, length)) for start in starts[:different]]
        with store.begin() as session:
            for i, start in enumerate(starts):
                digest, names, body = made[i % len(made)]
                if i >= len(made):
                    body = encode_stored(replace(decode_stored(body), start=start))
                put(session, "demo", (int(length.total_seconds()), int(start.timestamp())), digest, names, body,
                    minutes=round(length / MINUTE))  # fmt: skip
        sizes[name] = sum(len(body) for _, _, body in made) / len(made)
    return sizes


def cpu(work: Callable[[], object], repeat: int) -> float:
    """Milliseconds of processor time of one run, the least of `repeat`: what others take is in none of them."""
    took = []
    for _ in range(repeat):
        before = time.process_time()
        work()
        took.append((time.process_time() - before) * 1000)
    return min(took)


def moments(store: Store, reach: timedelta) -> None:
    """What an answer about a random moment costs: read, made into nodes and edges, written down, kept."""
    rng = random.Random(SEED)
    with store.begin() as session:
        live.put(session, Topology("demo", NOW, MINUTE), b"")
    documents = Documents(Reader(store), store)

    def any_time() -> datetime:
        return NOW - rng.random() * reach

    def read() -> Frame:
        with store.reading() as session:
            frame = frames.merged(session, "demo", Window((end := any_time()) - MINUTE, end))
        assert frame is not None
        return frame

    frame = read()
    columns = Question(at=NOW - HOUR, columnar=True)
    print(f"  of {reach.days} days stored: a frame read {cpu(read, 15):.2f} ms CPU", end="")
    print(f", as nodes and edges {cpu(lambda: from_frame(frame), 15):.1f}", end="")
    for told, asked in (
        ("columns", columns),
        ("rows", replace(columns, columnar=False)),
        ("map", replace(columns, columnar=False, view="map")),
    ):
        answer = cpu(lambda asked=asked: documents.topology(replace(asked, at=any_time()), ""), 15)
        print(f", answered as {told} {answer:.1f}", end="")
    documents.topology(columns, "")
    print(f", again {cpu(lambda: documents.topology(columns, ''), 50):.3f}")


def reads(store: Store) -> None:
    """The difference of two windows."""

    def windows(b: datetime, gap: timedelta, length: timedelta) -> Difference:
        with store.reading() as session:
            first = stretch(session, "demo", Window(b - gap - length, b - gap))
            second = stretch(session, "demo", Window(b - length, b))
        assert first is not None
        assert second is not None
        return Difference(first, second)

    quarter = 15 * MINUTE
    found = windows(NOW, quarter, quarter)
    told = ", ".join(f"{count} {mark.value}" for mark, count in found.edge_counts.items() if count)
    print(
        f"  two windows of 15 min compared: {cpu(lambda: windows(NOW, quarter, quarter), 5):.0f} ms: {told}"
    )
    print(
        f"  last hour against the same of a week ago: {cpu(lambda: windows(NOW, 7 * DAY, HOUR), 3):.0f} ms CPU"
    )
    print(f"  rows of the answer: {cpu(lambda: found.rows(list(Mark), 100), 5):.1f} ms CPU")


def main() -> None:
    """Print the figures."""
    services = int(os.environ.get("SIZE", "1000"))
    with tempfile.TemporaryDirectory() as place:
        store = Store(f"sqlite:///{place}/store.db", Path(place))
        store.migrate()
        month = Month(services)
        fill(store, month, DAY)
        moments(store, DAY)
        sizes = fill(store, month, 30 * DAY)
        moments(store, 30 * DAY)
        elements = len(month.nodes) + len(month.edges)
        print(f"{services:,} services, {len(month.edges):,} connections, SQLite")
        for name, size in sizes.items():
            print(
                f"  a frame of one {name}: {size / 1000:.0f} kB, {size / elements:.1f} bytes per node or edge"
            )
        bare = encode_frame(replace(month.frame(NOW, MINUTE), node_seen=np.zeros(0, np.uint16),
                                    edge_seen=np.zeros(0, np.uint16), witnesses={}))[2]  # fmt: skip
        with_it = encode_frame(month.frame(NOW, MINUTE))[2]
        print(f"  of it who saw what: {(len(with_it) - len(bare)) / elements:.3f} bytes")
        reads(store)
        store.dispose()


if __name__ == "__main__":
    main()
