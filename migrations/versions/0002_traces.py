"""Example traces of edges: what is listed of them, their spans apart, and the calls they are examples of."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def need(name: str, kind: Any = sa.String) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def key(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.String, primary_key=True)


def upgrade() -> None:
    op.create_table(
        "traces",
        key("cluster"),
        key("trace_id"),
        need("start", MOMENT),
        need("kept_at", MOMENT),
        need("duration", sa.Float),
        need("failed", sa.Boolean),
        need("spans", sa.Integer),
        need("services", sa.Integer),
        need("root", sa.Text),
        need("bytes", sa.Integer),
    )
    op.create_index("traces_kept", "traces", ["kept_at"])
    op.create_table("trace_bodies", key("cluster"), key("trace_id"), need("body", sa.LargeBinary))
    op.create_table(
        "trace_calls",
        key("cluster"),
        key("trace_id"),
        key("span_id"),
        key("why"),
        need("caller", sa.Text),
        need("callee", sa.Text),
        need("placed", sa.Boolean),
        need("at", MOMENT),
        need("stretch", sa.BigInteger),
        need("duration", sa.Float),
        need("failed", sa.Boolean),
    )
    op.create_index("trace_calls_caller", "trace_calls", ["caller", "at"])
    op.create_index("trace_calls_callee", "trace_calls", ["callee", "at"])
    op.create_index("trace_calls_placed", "trace_calls", ["cluster", "placed"])
    if op.get_bind().dialect.name == "postgresql":  # the bodies are zstd already: keep them out of pglz
        op.execute("ALTER TABLE trace_bodies ALTER COLUMN body SET STORAGE EXTERNAL")


def downgrade() -> None:
    for table in ("trace_calls", "trace_bodies", "traces"):
        op.drop_table(table)
