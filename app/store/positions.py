"""Where nodes stand on a drawing, per view; what a person pinned is never moved by the layout."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import false, select, update
from sqlalchemy.orm import Session

from app.store import topics
from app.store.tables import positions as table
from app.store.write import upsert


def positions(session: Session, view: str) -> dict[str, tuple[float, float, bool]]:
    """Node id -> (x, y, pinned)."""
    rows = session.execute(select(table).where(table.c.view == view))
    return {row.node: (row.x, row.y, row.pinned) for row in rows}


def place(session: Session, view: str, places: Mapping[str, tuple[float, float]]) -> None:
    """Store what the layout found; pinned nodes stay where they are."""
    rows = [_row(view, node, x, y, pinned=False) for node, (x, y) in sorted(places.items())]
    upsert(session, table, rows, key=("view", "node"), where=table.c.pinned == false())
    topics.bump(session, "topology")


def pin(session: Session, view: str, node: str, x: float, y: float, *, pinned: bool = True) -> None:
    """A person put this node here; not pinned = the layout may move it again."""
    upsert(session, table, [_row(view, node, x, y, pinned=pinned)], key=("view", "node"))
    topics.bump(session, "topology")


def unpin_all(session: Session, view: str) -> None:
    """Give every node of a view back to the layout; nothing moves until the next layout."""
    session.execute(update(table).where(table.c.view == view).values(pinned=False))
    topics.bump(session, "topology")


def forget(session: Session, view: str, nodes: Collection[str]) -> None:
    """Give the places of these nodes of a view away."""
    session.execute(table.delete().where(table.c.view == view, table.c.node.in_(nodes)))


def clear(session: Session, view: str) -> None:
    """Forget all places of a view, so that the next layout starts afresh."""
    session.execute(table.delete().where(table.c.view == view))
    topics.bump(session, "topology")


def _row(view: str, node: str, x: float, y: float, *, pinned: bool) -> dict[str, object]:
    return {"view": view, "node": node, "x": float(x), "y": float(y), "pinned": pinned}
