"""Drives Alembic over an open store: a copy first (SQLite), one migrator at a time (PostgreSQL)."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from app import paths
from app.errors import StoreError

if TYPE_CHECKING:
    from app.store.engine import Store

_LOCK = 0x51_44_4D_49  # "QDMI": any constant that only migrators of this product take
_LOCK_TIMEOUT = "10s"
_STATEMENT_TIMEOUT = "10min"

log = logging.getLogger("quarterdeck.store")


def run(store: Store, to: str) -> None:
    """Migrate to a revision (`head`, `base`, or a number), forwards or backwards."""
    config = _configuration()
    found, wanted = store.revision(), _number(config, to)
    if store.path is not None and found is not None:
        log.info("copied the store to %s before migrating it", copy_beside(store.path, found))
    with store.engine.connect() as connection:
        _fence(connection)
        config.attributes["connection"] = connection
        try:
            _step(config, found, wanted, to)
        except CommandError as error:
            connection.rollback()
            raise StoreError(f"cannot migrate the store from {found} to {to}: {error}") from error
        connection.commit()


def copy_beside(path: Path, revision: str) -> Path:
    """A consistent copy of a SQLite file under `<name>.before-<revision>`; an older copy is overwritten."""
    target = path.with_name(f"{path.name}.from-{revision}")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
    target.chmod(0o600)
    return target


def _configuration() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(paths.migrations()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _number(config: AlembicConfig, to: str) -> str | None:
    script = ScriptDirectory.from_config(config)
    if to == "head":
        return script.get_current_head()
    return None if to == "base" else to


def _step(config: AlembicConfig, found: str | None, wanted: str | None, to: str) -> None:
    backwards = wanted is None or (
        found is not None and wanted < found
    )  # revisions are numbers of equal length
    if backwards:
        command.downgrade(config, to)
    else:
        command.upgrade(config, to)


def _fence(connection: Connection) -> None:
    """One migrator at a time, and none that waits for ever; the lock ends with the transaction."""
    if connection.dialect.name != "postgresql":
        return
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{_STATEMENT_TIMEOUT}'")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
