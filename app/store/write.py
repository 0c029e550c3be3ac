"""INSERT … ON CONFLICT for both databases, in bulk and past the ORM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Executable, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import Session

Row = Mapping[str, Any]


def run(session: Session, statement: Executable, rows: Sequence[Row] | None = None) -> int:
    """Execute and tell how many rows were touched."""
    result = (
        session.connection().execute(statement, rows) if rows else session.connection().execute(statement)
    )
    assert isinstance(result, CursorResult)
    return result.rowcount


def upsert(
    session: Session,
    table: Table,
    rows: Sequence[Row],
    *,
    key: tuple[str, ...],
    where: ColumnElement[bool] | None = None,
) -> None:
    """Insert rows or overwrite those of the same key (only where `where` holds of the present row)."""
    if not rows:
        return
    statement = _insert(session, table)
    others = {name: statement.excluded[name] for name in rows[0] if name not in key}
    run(session, statement.on_conflict_do_update(index_elements=list(key), set_=others, where=where), rows)


def insert_new(session: Session, table: Table, row: Row) -> bool:
    """Insert one row unless one of its unique keys is taken; whether it was inserted."""
    key = next(iter(table.primary_key))
    statement = _insert(session, table).values(row).on_conflict_do_nothing().returning(key)
    return session.connection().execute(statement).first() is not None


def storable(words: str) -> str:
    """Text that both databases take: no NUL, no lone surrogates."""
    return words.encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _insert(session: Session, table: Table) -> Any:
    if session.connection().dialect.name == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # costs time at the start that SQLite need not pay

    return postgresql.insert(table)
