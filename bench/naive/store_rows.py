"""Fleet history as one would write it first: a row per edge and minute, through SQLAlchemy Core.

Histograms are kept sparse in a JSON column, so that both ways can add them up and read any quantile.
"""

from __future__ import annotations

import json

import numpy as np
import sqlalchemy as sa

from app.model.fleet import Frame
from app.model.series import BUCKETS

metadata = sa.MetaData()
rows = sa.Table(
    "edge_minutes",
    metadata,
    sa.Column("minute", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("edge", sa.String, primary_key=True),
    sa.Column("requests", sa.BigInteger),
    sa.Column("failed", sa.BigInteger),
    sa.Column("latency", sa.Text, nullable=False),
    sa.Column("health", sa.String, nullable=False),
    sa.Index("edge_minutes_by_edge", "edge", "minute"),
)


def create(engine: sa.Engine) -> None:
    metadata.create_all(engine)


def write(engine: sa.Engine, frame: Frame) -> None:
    minute = int(frame.start.timestamp())
    values = [
        {
            "minute": minute,
            "edge": edge,
            "requests": None if np.isnan(requests) else int(requests),
            "failed": None if np.isnan(failed) else int(failed),
            "latency": json.dumps({int(i): int(histogram[i]) for i in np.flatnonzero(histogram)}),
            "health": health,
        }
        for edge, requests, failed, histogram, health in zip(
            frame.edge_ids,
            frame.edge_requests,
            frame.edge_failed,
            frame.edge_latency,
            frame.edge_health,
            strict=True,
        )
    ]
    with engine.begin() as connection:
        connection.execute(rows.insert(), values)


def at(engine: sa.Engine, minute: int) -> dict[str, tuple]:
    """Edge -> (requests, failed, histogram, health)."""
    with engine.connect() as connection:
        found = connection.execute(sa.select(rows).where(rows.c.minute == minute))
        return {row.edge: (row.requests, row.failed, _histogram(row.latency), row.health) for row in found}


def over(engine: sa.Engine, start: int, end: int) -> dict[str, list]:
    """Edge -> [requests, failed, histogram] summed over the minutes."""
    total: dict[str, list] = {}
    with engine.connect() as connection:
        where = (rows.c.minute >= start) & (rows.c.minute < end)
        columns = (rows.c.edge, rows.c.requests, rows.c.failed, rows.c.latency)
        for row in connection.execute(sa.select(*columns).where(where)):
            sums = total.setdefault(row.edge, [0, 0, {}])
            sums[0] += row.requests or 0
            sums[1] += row.failed or 0
            for bucket, count in json.loads(row.latency).items():
                sums[2][bucket] = sums[2].get(bucket, 0) + count
    return total


def line(engine: sa.Engine, edge: str, start: int, end: int) -> list[tuple]:
    """[(minute, requests, failed)] of one edge."""
    with engine.connect() as connection:
        where = (rows.c.edge == edge) & (rows.c.minute >= start) & (rows.c.minute < end)
        found = connection.execute(
            sa.select(rows.c.minute, rows.c.requests, rows.c.failed).where(where).order_by(rows.c.minute)
        )
        return [tuple(row) for row in found]


def numbers(engine: sa.Engine, minute: int) -> list[tuple]:
    """[(edge, requests, failed)]: the same without histograms, for the strictest comparison."""
    with engine.connect() as connection:
        columns = sa.select(rows.c.edge, rows.c.requests, rows.c.failed, rows.c.health)
        return [tuple(row) for row in connection.execute(columns.where(rows.c.minute == minute))]


def _histogram(text: str) -> np.ndarray:
    counts = np.zeros(BUCKETS)
    for bucket, count in json.loads(text).items():
        counts[int(bucket)] = count
    return counts
