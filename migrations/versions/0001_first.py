"""The first schema: live state, fleet history, people, audit chain, actions."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
IN_FLIGHT = "state IN ('executing', 'verifying', 'unknown')"

REFUSE_SQLITE = """
CREATE TRIGGER audit_refuses_{verb} BEFORE {verb} ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are never changed or removed'); END
"""
REFUSE_FUNCTION = """
CREATE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'audit rows are never changed or removed'; END $$
"""
REFUSE_POSTGRESQL = """
CREATE TRIGGER audit_refuses_{verb} BEFORE {verb} ON audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses()
"""


def key(name: str, kind: Any = sa.String) -> sa.Column[Any]:
    return sa.Column(name, kind(), primary_key=True, autoincrement=False)


def moment_key(name: str) -> sa.Column[Any]:
    return sa.Column(name, MOMENT, primary_key=True)


def need(name: str, kind: Any = sa.String) -> sa.Column[Any]:
    return sa.Column(name, kind if isinstance(kind, sa.types.TypeEngine) else kind(), nullable=False)


def may(name: str, kind: Any = sa.String) -> sa.Column[Any]:
    return sa.Column(name, kind if isinstance(kind, sa.types.TypeEngine) else kind(), nullable=True)


def upgrade() -> None:
    live_state()
    history()
    people()
    audit_chain()
    actions()


def live_state() -> None:
    op.create_table("counters", key("name"), need("value", sa.BigInteger))
    op.create_table("topics", key("name"), need("revision", sa.BigInteger))
    op.create_index("topics_revision", "topics", ["revision"])
    op.execute("INSERT INTO counters (name, value) VALUES ('topics', 0)")
    op.create_table("settings", key("name"), need("value", sa.Text), need("changed_at", MOMENT))
    op.create_table(
        "snapshots", key("cluster"), key("source"), need("as_of", MOMENT), need("body", sa.LargeBinary)
    )
    op.create_table(
        "sources",
        key("cluster"),
        key("source"),
        may("as_of", MOMENT),
        need("status"),
        need("since", MOMENT),
        may("error", sa.Text),
        need("cost", sa.Text),
        need("tried_at", MOMENT),
    )
    op.create_table(
        "live",
        key("cluster"),
        need("as_of", MOMENT),
        need("topology", sa.LargeBinary),
        need("memory", sa.LargeBinary),
    )
    op.create_table(
        "positions",
        key("view"),
        key("node"),
        need("x", sa.Float),
        need("y", sa.Float),
        need("pinned", sa.Boolean),
    )
    op.create_table("leases", key("name"), need("holder"), need("until", MOMENT))


def history() -> None:
    op.create_table(
        "frames",
        key("cluster"),
        key("tier", sa.Integer),
        moment_key("start"),
        need("minutes", sa.Integer),
        need("names"),
        need("body", sa.LargeBinary),
    )
    op.create_table("frame_names", key("digest"), need("body", sa.LargeBinary))
    op.create_table(
        "frame_chunks",
        key("cluster"),
        key("tier", sa.Integer),
        moment_key("start"),
        key("part", sa.Integer),
        key("parts", sa.Integer),
        need("minutes", sa.Integer),
        need("body", sa.LargeBinary),
    )
    if op.get_bind().dialect.name == "postgresql":  # the bodies are zstd already: keep them out of pglz
        for table in ("frames", "frame_names", "frame_chunks", "snapshots"):
            op.execute(f"ALTER TABLE {table} ALTER COLUMN body SET STORAGE EXTERNAL")


def people() -> None:
    op.create_table(
        "users",
        key("name"),
        need("role"),
        need("password_hash", sa.Text),
        need("disabled", sa.Boolean),
        need("created_at", MOMENT),
        need("changed_at", MOMENT),
    )
    op.create_table(
        "sessions",
        key("digest"),
        need("user"),
        need("csrf"),
        need("created_at", MOMENT),
        need("seen_at", MOMENT),
        need("proved_at", MOMENT),
        need("address"),
        need("agent", sa.Text),
    )
    op.create_index("sessions_user", "sessions", ["user"])
    op.create_table(
        "tokens",
        key("id"),
        need("digest"),
        need("name"),
        need("owner"),
        need("scopes", sa.Text),
        need("created_at", MOMENT),
        need("expires_at", MOMENT),
        may("used_at", MOMENT),
        may("revoked_at", MOMENT),
    )
    op.create_table(
        "idempotency",
        key("who"),
        key("key"),
        need("request"),
        may("status", sa.Integer),
        may("headers", sa.Text),
        may("body", sa.LargeBinary),
        need("created_at", MOMENT),
    )


def audit_chain() -> None:
    op.create_table(
        "audit",
        key("seq", sa.BigInteger),
        need("at", MOMENT),
        need("who", sa.Text),
        need("what", sa.Text),
        need("target", sa.Text),
        need("outcome", sa.Text),
        need("detail", sa.Text),
        need("prev_hash"),
        need("hash"),
        need("hmac"),
    )
    op.create_index("audit_target", "audit", ["target", "seq"])
    op.execute("INSERT INTO counters (name, value) VALUES ('audit', 0)")
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(REFUSE_SQLITE.format(verb=verb))
        return
    op.execute(REFUSE_FUNCTION)
    for verb in ("UPDATE", "DELETE", "TRUNCATE"):
        op.execute(REFUSE_POSTGRESQL.format(verb=verb))


def actions() -> None:
    op.create_table(
        "actions",
        key("id"),
        *(need(name) for name in ("kind", "cluster", "namespace", "target_kind", "name")),
        need("params", sa.Text),
        need("reason", sa.Text),
        may("incident"),
        need("proposer"),
        may("approver"),
        may("executor"),
        need("state"),
        need("message", sa.Text),
        may("plan", sa.Text),
        may("plan_hash"),
        may("applied", sa.Text),
        may("judgement", sa.Text),
        may("progress", sa.Text),
        may("idempotency_key"),
        need("created_at", MOMENT),
        need("changed_at", MOMENT),
        may("expires_at", MOMENT),
        may("sent_at", MOMENT),
        may("rolled_out_at", MOMENT),
        may("finished_at", MOMENT),
    )
    op.create_index(
        "actions_in_flight",
        "actions",
        ["cluster", "namespace", "target_kind", "name"],
        unique=True,
        sqlite_where=sa.text(IN_FLIGHT),
        postgresql_where=sa.text(IN_FLIGHT),
    )
    op.create_index("actions_state", "actions", ["state"])
    op.create_index("actions_created", "actions", ["created_at", "id"])
    op.create_index("actions_once", "actions", ["proposer", "idempotency_key"], unique=True)


def downgrade() -> None:
    op.drop_table("actions")
    op.drop_table("audit")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_refuses")
    for table in ("idempotency", "tokens", "sessions", "users", "frame_chunks", "frame_names", "frames"):
        op.drop_table(table)
    for table in ("leases", "positions", "live", "sources", "snapshots", "settings", "topics", "counters"):
        op.drop_table(table)
