from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import inspect

from app.store import frames, settings, topics, users
from app.store.engine import Store
from app.store.tables import metadata
from tests.support.factories import make_frame


def test_the_migrations_make_the_schema_that_the_code_uses(store: Store):
    found = inspect(store.engine)
    assert set(found.get_table_names()) == {*metadata.tables, "alembic_version"}
    for name, table in metadata.tables.items():
        columns = {column["name"]: column["nullable"] for column in found.get_columns(name)}
        assert columns == {column.name: column.nullable for column in table.columns}, name
        assert found.get_pk_constraint(name)["constrained_columns"] == [c.name for c in table.primary_key], (
            name
        )
        indexes = {
            index["name"]: (index["column_names"], bool(index["unique"])) for index in found.get_indexes(name)
        }
        wanted = {i.name: ([c.name for c in i.columns], bool(i.unique)) for i in table.indexes}
        assert indexes == wanted, name


def test_migrating_backwards_and_forwards_on_a_populated_store_works(store: Store):
    with store.begin() as session:
        users.add(session, "alice", "responder", "hash")
        frames.write(session, make_frame())
        topics.bump(session, "fleet")
    store.migrate("base")
    assert store.revision() is None
    assert inspect(store.engine).get_table_names() == ["alembic_version"]
    store.migrate()
    with store.begin() as session:
        assert users.count(session) == 0
        users.add(session, "alice", "responder", "hash")


def test_migrating_twice_changes_nothing(store: Store):
    with store.begin() as session:
        settings.put(session, "name", "value")
    store.migrate()
    with store.reading() as session:
        assert settings.get(session, "name") == "value"


def test_a_sqlite_store_copies_itself_beside_itself_before_it_migrates(tmp_path: Path):
    store = Store("sqlite:///store.db", tmp_path)
    store.migrate()
    with store.begin() as session:
        settings.put(session, "name", "value")
    store.migrate("base")
    with sqlite3.connect(tmp_path / "store.db.from-0002") as copy:
        assert copy.execute("SELECT value FROM settings WHERE name = 'name'").fetchone() == ("value",)
    copy.close()
    store.dispose()


def test_a_postgresql_migrator_waits_for_another_but_not_for_ever(
    postgres_server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from app.errors import StoreUnavailable
    from app.store import migrate

    monkeypatch.setattr(migrate, "_LOCK_TIMEOUT", "50ms")
    store = Store(postgres_server.fresh_database(), tmp_path)
    with store.engine.begin() as other:
        other.exec_driver_sql(f"SELECT pg_advisory_xact_lock({migrate._LOCK})")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            store.migrate()
    store.migrate()
    store.check_schema()
    store.dispose()
