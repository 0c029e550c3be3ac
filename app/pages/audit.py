"""The audit log: what people and automation did, in the order of its chain."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from app.errors import BadInput
from app.pages import format as form
from app.pages import timerange
from app.pages.fragments import fragment
from app.store import audit
from app.store.audit import AuditRow
from app.web.access import requires
from app.web.services import services

blueprint = Blueprint("audit", __name__)

_ROWS = 100


@dataclass(frozen=True, slots=True)
class Shown:
    """An audit row as the page shows it."""

    seq: int
    at: datetime
    who: str
    what: str
    target: str
    outcome: str
    detail: str
    href: str


@blueprint.get("/audit")
@requires("read")
def page() -> ResponseReturnValue:
    """What was done, by whom, in the order of the chain."""
    timerange.requested()
    return render_template("pages/audit.html")


@fragment(blueprint, "audit-list", topics=("audit",))
def audit_list() -> dict[str, Any]:
    """Rows of the chain, newest first."""
    text = request.args.get("before", "")
    if text and (not text.isdigit() or len(text) > 15):
        raise BadInput("before is the number of a row", field="before")
    with services().store.reading() as session:
        rows = audit.page(session, limit=_ROWS + 1, before=int(text) if text else None)
        newest, _ = audit.head(session)
    return {
        "answer": f"{form.plural(newest, 'entry', 'entries')} in the audit log.",
        "rows": [_shown(row) for row in rows[:_ROWS]],
        "older": rows[_ROWS - 1].seq if len(rows) > _ROWS else None,
    }


def _shown(row: AuditRow) -> Shown:
    identity = row.detail.get("action")
    detail = json.dumps(row.detail, indent=1, sort_keys=True, ensure_ascii=False) if row.detail else ""
    return Shown(
        seq=row.seq,
        at=row.at,
        who=row.who,
        what=row.what,
        target=row.target,
        outcome=row.outcome,
        detail=form.cut(detail, 4000) if len(detail) > 4000 else detail,
        href=f"/actions/{quote(str(identity), safe='')}" if identity else "",
    )
