"""The schema as SQLAlchemy tables. Migrations create it; a test holds both to be the same.

Large blobs and small hot rows stand in separate tables. Moments are aware UTC (`Instant`), states and
reasons are text, documents are JSON text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime: timestamptz on PostgreSQL, sortable text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive moments; SQLite keeps UTC without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a naive datetime must not reach the store: {value!r}")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Always aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()


def _key(name: str, kind: Any = String) -> Column[Any]:
    return Column(name, kind, primary_key=True)


def _need(name: str, kind: Any = String) -> Column[Any]:
    return Column(name, kind, nullable=False)


def _may(name: str, kind: Any = String) -> Column[Any]:
    return Column(name, kind, nullable=True)


counters = Table("counters", metadata, _key("name"), _need("value", BigInteger))
topics = Table("topics", metadata, _key("name"), _need("revision", BigInteger))
Index("topics_revision", topics.c.revision)

settings = Table("settings", metadata, _key("name"), _need("value", Text), _need("changed_at", Instant))

snapshots = Table(
    "snapshots",
    metadata,
    _key("cluster"),
    _key("source"),
    _need("as_of", Instant),
    _need("body", LargeBinary),
)
sources = Table(
    "sources",
    metadata,
    _key("cluster"),
    _key("source"),
    _may("as_of", Instant),
    _need("status"),
    _need("since", Instant),
    _may("error", Text),
    _need("cost", Text),
    _need("tried_at", Instant),
)
live = Table(
    "live",
    metadata,
    _key("cluster"),
    _need("as_of", Instant),
    _need("topology", LargeBinary),
    _need("memory", LargeBinary),
)

frames = Table(
    "frames",
    metadata,
    _key("cluster"),
    Column("tier", Integer, primary_key=True, autoincrement=False),
    _key("start", Instant),
    _need("minutes", Integer),
    _need("names"),
    _need("body", LargeBinary),
)
frame_names = Table("frame_names", metadata, _key("digest"), _need("body", LargeBinary))
frame_chunks = Table(
    "frame_chunks",
    metadata,
    _key("cluster"),
    Column("tier", Integer, primary_key=True, autoincrement=False),
    _key("start", Instant),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("parts", Integer, primary_key=True, autoincrement=False),
    _need("minutes", Integer),
    _need("body", LargeBinary),
)

traces = Table(
    "traces",
    metadata,
    _key("cluster"),
    _key("trace_id"),
    _need("start", Instant),
    _need("kept_at", Instant),
    _need("duration", Float),
    _need("failed", Boolean),
    _need("spans", Integer),
    _need("services", Integer),
    _need("root", Text),
    _need("bytes", Integer),
)
Index("traces_kept", traces.c.kept_at)
trace_bodies = Table("trace_bodies", metadata, _key("cluster"), _key("trace_id"), _need("body", LargeBinary))
# `caller` and `callee`: ids of nodes once `placed`, before that the parties under the names that spans use.
trace_calls = Table(
    "trace_calls",
    metadata,
    _key("cluster"),
    _key("trace_id"),
    _key("span_id"),
    _key("why"),
    _need("caller", Text),
    _need("callee", Text),
    _need("placed", Boolean),
    _need("at", Instant),
    _need("stretch", BigInteger),
    _need("duration", Float),
    _need("failed", Boolean),
)
Index("trace_calls_caller", trace_calls.c.caller, trace_calls.c.at)
Index("trace_calls_callee", trace_calls.c.callee, trace_calls.c.at)
Index("trace_calls_placed", trace_calls.c.cluster, trace_calls.c.placed)

positions = Table(
    "positions",
    metadata,
    _key("view"),
    _key("node"),
    _need("x", Float),
    _need("y", Float),
    _need("pinned", Boolean),
)

users = Table(
    "users",
    metadata,
    _key("name"),
    _need("role"),
    _need("password_hash", Text),
    _need("disabled", Boolean),
    _need("created_at", Instant),
    _need("changed_at", Instant),
)
sessions = Table(
    "sessions",
    metadata,
    _key("digest"),
    _need("user"),
    _need("csrf"),
    _need("created_at", Instant),
    _need("seen_at", Instant),
    _need("proved_at", Instant),
    _need("address"),
    _need("agent", Text),
)
Index("sessions_user", sessions.c.user)
tokens = Table(
    "tokens",
    metadata,
    _key("id"),
    _need("digest"),
    _need("name"),
    _need("owner"),
    _need("scopes", Text),
    _need("created_at", Instant),
    _need("expires_at", Instant),
    _may("used_at", Instant),
    _may("revoked_at", Instant),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _need("at", Instant),
    _need("who", Text),
    _need("what", Text),
    _need("target", Text),
    _need("outcome", Text),
    _need("detail", Text),
    _need("prev_hash"),
    _need("hash"),
    _need("hmac"),
)
Index("audit_target", audit.c.target, audit.c.seq)

actions = Table(
    "actions",
    metadata,
    _key("id"),
    _need("kind"),
    _need("cluster"),
    _need("namespace"),
    _need("target_kind"),
    _need("name"),
    _need("params", Text),
    _need("reason", Text),
    _may("incident"),
    _need("proposer"),
    _may("approver"),
    _may("executor"),
    _need("state"),
    _need("message", Text),
    _may("plan", Text),
    _may("plan_hash"),
    _may("applied", Text),
    _may("judgement", Text),
    _may("progress", Text),
    _may("idempotency_key"),
    _need("created_at", Instant),
    _need("changed_at", Instant),
    _may("expires_at", Instant),
    _may("sent_at", Instant),
    _may("rolled_out_at", Instant),
    _may("finished_at", Instant),
)
IN_FLIGHT = "state IN ('executing', 'verifying', 'unknown')"
Index(
    "actions_in_flight",
    actions.c.cluster,
    actions.c.namespace,
    actions.c.target_kind,
    actions.c.name,
    unique=True,
    sqlite_where=text(IN_FLIGHT),
    postgresql_where=text(IN_FLIGHT),
)
Index("actions_state", actions.c.state)
Index("actions_created", actions.c.created_at, actions.c.id)
Index("actions_once", actions.c.proposer, actions.c.idempotency_key, unique=True)

idempotency = Table(
    "idempotency",
    metadata,
    _key("who"),
    _key("key"),
    _need("request"),
    _may("status", Integer),
    _may("headers", Text),
    _may("body", LargeBinary),
    _need("created_at", Instant),
)
leases = Table("leases", metadata, _key("name"), _need("holder"), _need("until", Instant))
