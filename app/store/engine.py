"""The connection to SQLite or PostgreSQL: transactions, pragmas, errors in our own words, schema check.

`begin()` is a writing transaction: on SQLite it takes the write lock at once (BEGIN IMMEDIATE), because a
transaction that reads first and writes later fails without waiting when another wrote in between.
`reading()` sees one snapshot, blocks nobody and refuses to write.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, create_engine, event, inspect, text
from sqlalchemy import exc as sa_exc
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.orm import Session

from app.errors import ConfigError, Problem, SchemaMismatch, StoreError, StoreUnavailable
from app.store import topics

if TYPE_CHECKING:
    from app.config import Config

HEAD = "0002"
"""The revision of the schema this build works with; a test holds it equal to Alembic's head."""

BUSY_SECONDS = 10
_READING = "quarterdeck_reading"


class Store:
    """A database and the ways into it. `url` as SQLAlchemy writes it; relative SQLite paths lie in `state_dir`."""

    def __init__(self, url: str, state_dir: Path) -> None:
        self.url = _resolve(url, state_dir)
        self.engine = _engine(self.url)
        self._known: dict[str, Any] = {"frame names": OrderedDict()}
        self._reading = self.engine.execution_options(**{_READING: True})

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @property
    def path(self) -> Path | None:
        """The file of a SQLite store."""
        name = self.url.database
        return Path(name) if self.dialect == "sqlite" and name and name != ":memory:" else None

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A writing transaction: committed on exit, rolled back on any error.

        Raises StoreUnavailable when the database does not answer or stays locked, StoreError for the rest.
        """
        with (
            _translated(),
            Session(self.engine, autoflush=False, info=dict(self._known)) as session,
            session.begin(),
        ):
            yield session
            topics.flush(session)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that only reads, from one snapshot. Raises as `begin` does."""
        with (
            _translated(),
            Session(self._reading, autoflush=False, info=dict(self._known)) as session,
            session.begin(),
        ):
            yield session

    def revision(self) -> str | None:
        """The schema's revision, None = an empty database."""
        with _translated(), self.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

    def migrate(self, to: str = "head") -> None:
        """Bring the schema to `to` (a revision, `head` or `base`); does nothing when it is there already.

        A SQLite file is copied beside itself first. Raises StoreError when a migration fails.
        """
        if to == "head" and self.revision() == HEAD:
            return
        from app.store import migrate  # Alembic costs a quarter of a second that a current store need not pay

        with _translated():
            migrate.run(self, to)

    def check_schema(self) -> None:
        """Raises SchemaMismatch, naming the cure, unless the schema is this build's."""
        found = self.revision()
        if found == HEAD:
            return
        said = f"has schema {found}" if found else "has no schema yet"
        raise SchemaMismatch(
            f"the store {self.url.render_as_string()} {said}, this build needs {HEAD}: run `quarterdeck migrate`"
            " with this build (a newer schema needs a newer build)"
        )

    def dispose(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def open_store(config: Config) -> Store:
    """The store of a configuration; does not migrate."""
    return Store(config.store.url, config.state_dir)


def _resolve(url: str, state_dir: Path) -> URL:
    try:
        parsed = make_url(url)
    except sa_exc.ArgumentError as error:
        raise ConfigError([Problem("store.url", "is not a database address")]) from error
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite":
        raise ConfigError([Problem("store.url", f"{parsed.drivername} is neither sqlite nor postgresql")])
    name = parsed.database
    if not name or name == ":memory:":
        raise ConfigError([Problem("store.url", "a store in memory forgets everything: give a file")])
    path = state_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
    return parsed.set(drivername="sqlite", database=str(path))


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, pool_size=20, max_overflow=20, connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = create_engine(
        url, pool_size=10, max_overflow=20, pool_pre_ping=True, connect_args={"connect_timeout": BUSY_SECONDS}
    )
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # BEGIN is ours (see the module's docstring)
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reading = bool(connection.get_execution_options().get(_READING, False))
    if connection.info.get(_READING) != reading:  # kept by the connection: set only when it changes
        connection.exec_driver_sql(f"PRAGMA query_only={'ON' if reading else 'OFF'}")
        connection.info[_READING] = reading
    if not reading:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    driver: Any = connection.connection.driver_connection
    driver.execute(
        "BEGIN"
    )  # waits for nobody, so it cannot fail in ways that need translating; half the cost


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get(_READING, False):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sa_exc.OperationalError, sa_exc.InterfaceError, sa_exc.TimeoutError) as error:
        raise StoreUnavailable(f"the store did not answer: {_cause(error)}") from error
    except sa_exc.SQLAlchemyError as error:
        raise StoreError(f"the store refused: {_cause(error)}") from error


def _cause(error: sa_exc.SQLAlchemyError) -> str:
    origin = getattr(error, "orig", None)
    return (
        str(origin or error).strip().splitlines()[0] if str(origin or error).strip() else type(error).__name__
    )
