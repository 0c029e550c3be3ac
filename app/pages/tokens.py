"""Settings, tokens: make one (its text is shown once), see them, end one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue

from app import clock
from app.errors import BadInput, NotAllowed, NotFound
from app.web.access import ROLES, current, requires
from app.web.services import services

blueprint = Blueprint("tokens", __name__)

LIVES = {"7": "7 days", "30": "30 days", "90": "90 days", "365": "a year"}
_LONGEST_NAME = 60


@blueprint.get("/settings/tokens")
@requires("self")
def page() -> str:
    """One's own tokens (an administrator sees all), and the form for a new one."""
    return _page({})


@blueprint.post("/settings/tokens")
@requires("self")
def make() -> ResponseReturnValue:
    """Make a token; the answer is the only time its text is shown, so it is a page and not a redirect."""
    form = request.form
    faults = _faults(form.get("name", "").strip(), form.get("life", ""))
    if not faults:
        try:
            text, token = services().accounts.mint(
                current(),
                form["name"].strip(),
                (form.get("scope", ""),),
                clock.now() + timedelta(days=int(form["life"])),
            )
        except (BadInput, NotAllowed) as error:
            faults["scope"] = str(error)
        else:
            answer = make_response(_page({}, made=(text, token)))
            answer.headers["Cache-Control"] = "no-store"
            return answer
    return _page(faults), 422


@blueprint.post("/settings/tokens/<token_id>/revoke")
@requires("self")
def revoke(token_id: str) -> ResponseReturnValue:
    """End a token at once. Raises NotFound."""
    if not services().accounts.revoke(current(), token_id):
        raise NotFound("There is no such token, or it has ended already.")
    return redirect("/settings/tokens?done=revoked", code=303)


def scopes() -> list[tuple[str, str]]:
    """What this person's tokens may do: (scope, words)."""
    words = {
        "viewer": "read everything",
        "responder": "read and act",
        "approver": "read and act (a token never approves)",
        "admin": "read, act and administer",
    }
    own = ROLES[: ROLES.index(current().role) + 1] if current().role in ROLES else ()
    return [
        *((role, f"{role}: {words[role]}") for role in own),
        ("ingest", "ingest: send traces, nothing else"),
    ]


def _page(faults: dict[str, str], made: Any = None) -> str:
    rows = sorted(services().accounts.tokens(current()), key=lambda one: one.created_at, reverse=True)
    now = clock.now()
    living = [one for one in rows if one.revoked_at is None and one.expires_at > now]
    return render_template(
        "pages/settings_tokens.html",
        rows=living,
        ended=[one for one in rows if one not in living][:20],
        soon=now + timedelta(days=14),
        scopes=scopes(),
        lives=LIVES,
        faults=faults,
        typed=request.form,
        made=made,
    )


def _faults(name: str, life: str) -> dict[str, str]:
    faults = {}
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        faults["name"] = f"Give it a name of 1 to {_LONGEST_NAME} characters that says who uses it."
    if life not in LIVES:
        faults["life"] = "Choose when it ends; every token does."
    return faults
