"""The audit log, newest first."""

from __future__ import annotations

from typing import Any

from flask import Response

from app.api import action_shapes as shapes
from app.api import answer, cursor
from app.api.operation import api_blueprint, operation
from app.api.query import CURSOR, LIMIT, text
from app.store import audit
from app.store.audit import AuditRow
from app.web.access import requires
from app.web.services import services

blueprint = api_blueprint("audit")

_FILTERS = (
    text("target", "Only rows about this target."),
    text("who", "Only rows of this caller."),
    text("what", "Only this verb."),
)


@blueprint.get("/audit")
@requires("read")
@operation("Who did what, newest first", query=(*_FILTERS, LIMIT, CURSOR), answer=shapes.Audit)
def list_audit(query: dict[str, Any]) -> Response:
    """A page of the audit chain; `hash` and `prev_hash` let anybody check that it is whole."""
    before = cursor.decode(query["cursor"], (int,))[0] if query["cursor"] else None
    filters = {name: query[name] or None for name in ("target", "who", "what")}
    with services().store.reading() as session:
        rows = audit.page(session, limit=query["limit"] + 1, before=before, **filters)  # type: ignore[arg-type]
    shown = rows[: query["limit"]]
    following = cursor.encode([shown[-1].seq]) if len(rows) > query["limit"] else None
    return answer.listing([_row(row) for row in shown], following)


def _row(row: AuditRow) -> dict[str, Any]:
    names = ("seq", "at", "who", "what", "target", "outcome", "detail", "prev_hash", "hash")
    return {name: getattr(row, name) for name in names}
