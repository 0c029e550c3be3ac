"""Settings: how the sources stand, and what this viewer prefers."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue

from app.model.fleet import Freshness, SourceStatus
from app.pages import freshness, preference, timerange
from app.pages.fragments import fragment
from app.web.access import requires
from app.web.cookies import is_https
from app.web.services import services

blueprint = Blueprint("settings", __name__)

NOTICES = 50

_WORDS = {
    SourceStatus.OK: ("ok", "answers"),
    SourceStatus.LATE: ("warn", "late"),
    SourceStatus.DOWN: ("crit", "down"),
    SourceStatus.REFUSED: ("crit", "refuses us"),
    SourceStatus.NONSENSE: ("crit", "answers nonsense"),
    SourceStatus.STARTING: ("unknown", "starting"),
}


@blueprint.get("/settings")
@requires("read")
def front() -> ResponseReturnValue:
    """The first of the settings."""
    return redirect("/settings/sources", code=303)


@blueprint.get("/settings/sources")
@requires("read")
def sources_page() -> str:
    """Collector health, what a missing source costs, how to add one."""
    timerange.requested()
    return render_template("pages/settings_sources.html")


@fragment(blueprint, "sources", topics=("sources", "fleet"))
def sources() -> dict[str, Any]:
    """Every source, the worst first."""
    found = freshness.sources()
    return {
        "rows": [(one, *_WORDS[one.status]) for one in found],
        "sentence": sentence(found),
        "sources": found,
        "notices": services().reader.topology().notices[:NOTICES],
    }


@blueprint.get("/settings/me")
@requires("read")
def me() -> str:
    """The viewer's own preferences."""
    timerange.requested()
    return render_template(
        "pages/settings_me.html", zones=preference.zones(), chosen=preference.current(), faults={}
    )


@blueprint.post("/settings/me")
@requires("read")
def keep_mine() -> ResponseReturnValue:
    """Keep them in the cookie; a value that is not offered comes back with its reason."""
    form = request.form
    faults = {}
    if not preference.is_zone(form.get("zone", "")):
        faults["zone"] = "This time zone is not known. Write UTC or a name like Europe/Berlin."
    if faults:
        page = render_template(
            "pages/settings_me.html", zones=preference.zones(), chosen=preference.current(), faults=faults
        )
        return page, 422
    chosen = preference.of_form(form)
    answer = make_response(redirect("/settings/me?done=kept", code=303))
    preference.keep(answer, chosen, secure=is_https(services().config))
    return answer


def sentence(found: list[Freshness]) -> str:
    """The answer of the page: do all sources answer?"""
    if not found:
        return "No source is configured."
    silent = [one for one in found if one.status is not SourceStatus.OK]
    if not silent:
        return "The source answers." if len(found) == 1 else f"All {len(found)} sources answer."
    first = silent[0]
    more = f" and {len(silent) - 1} more" if len(silent) > 1 else ""
    verb = "need" if more else "needs"
    return f"{first.source}{more} {verb} a look: {_WORDS[first.status][1]}."
