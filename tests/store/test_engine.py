from __future__ import annotations

import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from app.errors import ConfigError, SchemaMismatch, StoreError, StoreUnavailable
from app.store import settings
from app.store.engine import HEAD, Store


def test_a_relative_sqlite_path_lies_in_the_state_directory(tmp_path: Path):
    store = Store("sqlite:///deep/store.db", tmp_path)
    store.migrate()
    assert (tmp_path / "deep" / "store.db").is_file()
    store.dispose()


def test_only_the_owner_may_read_a_sqlite_store(tmp_path: Path):
    store = Store("sqlite:///store.db", tmp_path)
    store.migrate()
    assert stat.S_IMODE((tmp_path / "store.db").stat().st_mode) == 0o600
    store.dispose()


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_an_address_that_cannot_be_a_store_is_a_configuration_error(tmp_path: Path, url: str):
    with pytest.raises(ConfigError, match=r"store\.url"):
        Store(url, tmp_path)


def test_sqlite_runs_in_wal_mode_with_foreign_keys(tmp_path: Path):
    store = Store("sqlite:///store.db", tmp_path)
    with store.begin() as session:
        pragmas = [
            session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "foreign_keys", "synchronous")
        ]
    assert pragmas == ["wal", 1, 1]
    store.dispose()


def test_an_error_inside_rolls_everything_back(store: Store):
    def fail() -> None:
        with store.begin() as session:
            settings.put(session, "name", "value")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with store.reading() as session:
        assert settings.get(session, "name") is None


def test_a_reading_transaction_refuses_to_write(store: Store):
    with pytest.raises(StoreError), store.reading() as session:
        settings.put(session, "name", "value")


def test_a_reading_transaction_neither_waits_for_a_writer_nor_sees_half_of_its_work(store: Store):
    with store.begin() as writer:
        settings.put(writer, "name", "value")
        with store.reading() as reader:
            assert settings.get(reader, "name") is None


def test_a_writer_after_a_refused_reader_on_the_same_connection_may_write(store: Store):
    with store.reading() as session:
        settings.get(session, "name")
    with store.begin() as session:
        settings.put(session, "name", "value")
    with store.reading() as session:
        assert settings.get(session, "name") == "value"


def test_a_database_that_does_not_answer_is_unavailable(tmp_path: Path):
    store = Store("postgresql://nobody@127.0.0.1:1/none", tmp_path)
    with pytest.raises(StoreUnavailable), store.begin() as session:
        settings.get(session, "name")
    store.dispose()


def test_an_empty_database_is_refused_and_the_cure_named(empty_store: Store):
    with pytest.raises(SchemaMismatch, match="quarterdeck migrate"):
        empty_store.check_schema()
    empty_store.migrate()
    empty_store.check_schema()


def test_a_newer_schema_is_refused(store: Store):
    with store.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaMismatch, match="9999"):
        store.check_schema()
    with pytest.raises(StoreError, match="9999"):
        store.migrate()


def test_a_password_in_the_address_is_never_shown(tmp_path: Path, postgres_server):
    url = postgres_server.fresh_database().replace("postgres@", "postgres:hunter2@")
    store = Store(url, tmp_path)
    with pytest.raises(SchemaMismatch) as caught:
        store.check_schema()
    assert "hunter2" not in str(caught.value)
    store.dispose()


def test_head_is_the_newest_migration():
    from alembic.script import ScriptDirectory

    from app import paths

    assert ScriptDirectory(str(paths.migrations())).get_current_head() == HEAD
