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

from app.model.fleet import EvidenceKind, Frame, Heard, NodeKind
from app.model.series import BUCKETS, Window
from app.store import frames
from app.store.engine import Store
from app.store.frame_blob import encode_frame
from app.store.frame_rows import put
from app.store.frame_stretch import stretch
from app.understand.diff import Mark
from app.understand.diff_rows import Difference
from app.understand.past import from_frame

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


def fill(store: Store, month: Month) -> dict[str, float]:
    """Write the tiers; mean bytes of a frame per tier."""
    sizes: dict[str, float] = {}
    for name, length, reach in (
        ("minute", MINUTE, 2 * HOUR),
        ("10 minutes", 10 * MINUTE, DAY),
        ("hour", HOUR, 30 * DAY),
    ):
        starts = [NOW - reach + i * length for i in range(round(reach / length))]
        total = 0
        for start in starts:
            digest, names, body = encode_frame(month.frame(start, length))
            total += len(body)
            with store.begin() as session:
                put(session, "demo", (int(length.total_seconds()), int(start.timestamp())), digest, names, body,
                    minutes=round(length / MINUTE))  # fmt: skip
        sizes[name] = total / len(starts)
    return sizes


def cpu(work: Callable[[], object], repeat: int) -> float:
    """Milliseconds of processor time of one run, the median of three rounds."""
    rounds = []
    for _ in range(3):
        before = time.process_time()
        for _ in range(repeat):
            work()
        rounds.append((time.process_time() - before) * 1000 / repeat)
    return sorted(rounds)[1]


def reads(store: Store) -> None:
    """Topology at random moments of each tier, and the difference of two windows."""
    rng = random.Random(SEED)

    def moment(reach: timedelta) -> object:
        at = NOW - rng.random() * reach
        with store.reading() as session:
            frame = frames.at(session, "demo", at)
        assert frame is not None
        return from_frame(frame)

    moment(HOUR)
    for told, reach in (("last two hours", 2 * HOUR), ("last day", DAY), ("last 30 days", 30 * DAY)):
        print(
            f"  topology at a random moment of the {told}: {cpu(lambda reach=reach: moment(reach), 10):.1f} ms CPU"
        )

    def windows(b: datetime, gap: timedelta, length: timedelta) -> Difference:
        with store.reading() as session:
            first = stretch(session, "demo", Window(b - gap - length, b - gap))
            second = stretch(session, "demo", Window(b - length, b))
        assert first is not None
        assert second is not None
        return Difference(first, second)

    quarter = 15 * MINUTE
    found = windows(NOW, quarter, quarter)
    same = found.edge_counts[Mark.SAME]
    print(
        f"  two windows of 15 min compared: {cpu(lambda: windows(NOW, quarter, quarter), 3):.0f} ms, {same} the same"
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
        sizes = fill(store, month)
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
