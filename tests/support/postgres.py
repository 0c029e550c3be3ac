"""A real PostgreSQL on a free port of 127.0.0.1 in a temporary directory, for as long as it is needed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

_USER = "postgres"
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=60")


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    port: int
    pid: int

    def url(self, database: str = "postgres") -> str:
        """The address as SQLAlchemy writes it."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def fresh_database(self) -> str:
        """A new empty database; its address."""
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)


@contextmanager
def running() -> Iterator[Postgres]:
    """Start a server, hand it over, end it."""
    home = Path(tempfile.mkdtemp(prefix="quarterdeck-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(home, _USER)
    try:
        data = home / "data"
        _run([_binary("initdb"), "-D", str(data), "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-sync"])
        port = _free_port()
        options = " ".join(f"-c {setting}" for setting in _FAST)
        options += f" -c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home}"
        start = [_binary("pg_ctl"), "-D", str(data), "-w", "-t", "60", "-l", str(home / "log"), "-o", options]
        _run([*start, "start"])
        try:
            yield Postgres(port, int((data / "postmaster.pid").read_text().split()[0]))
        finally:
            _run([_binary("pg_ctl"), "-D", str(data), "-w", "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _run(command: list[str]) -> None:
    as_user = ["runuser", "-u", _USER, "--"] if os.geteuid() == 0 else []
    subprocess.run([*as_user, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")


def _binary(name: str) -> str:
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None
    )
    if found is None:
        raise RuntimeError("PostgreSQL's server is missing: apt-get install postgresql")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
