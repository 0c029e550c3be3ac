"""What every page has: navigation, preferences, time range, freshness, and the names templates use.

The blueprint has no routes; registering it gives all templates their filters and context.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from flask import Blueprint, current_app, g, request
from flask.blueprints import BlueprintSetupState
from markupsafe import Markup

from app import clock
from app.errors import AccessError
from app.model.fleet import Node, NodeKind
from app.pages import format as form
from app.pages import fragments, preference, timerange
from app.web import access, csrf
from app.web.access import Declared, Permission
from app.web.identify import identify
from app.web.services import services

blueprint = Blueprint("shell", __name__)


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the navigation; `key` is what follows g, `phone` puts it into the bottom bar."""

    label: str
    path: str
    icon: str
    key: str
    phone: bool = False


# Everything the navigation may hold; only places whose route exists are shown.
PLACES = (
    Place("Fleet", "/", "i-fleet", "f", phone=True),
    Place("Topology", "/topology", "i-topology", "t", phone=True),
    Place("Actions", "/actions", "i-actions", "a", phone=True),
    Place("Audit", "/audit", "i-audit", "u"),
    Place("Settings", "/settings/sources", "i-settings", ","),
)


# What a form's redirect may say on the next page (`?done=<code>`); nothing else of the query is ever shown.
DONE = {
    "kept": "Preferences are kept in this browser.",
    "revoked": "The token was revoked; it is refused from now on.",
}


def places() -> list[Place]:
    """The places that exist in this application and that the caller may read."""
    if not access.current().allows("read"):
        return []
    rules = {rule.rule for rule in current_app.url_map.iter_rules()}
    return [place for place in PLACES if place.path in rules]


def is_here(place: Place) -> bool:
    """Whether the present page lies at or under a place."""
    if place.path == "/":
        return request.path == "/"
    top = "/" + place.path.split("/")[1]
    return request.path == top or request.path.startswith(top + "/")


def node_href(node: Node, tab: str = "", **query: str) -> str:
    """The page of a service or inferred node, or a tab of it, at the time that is shown.

    Names are encoded: foreign text can be anything.
    """
    asked = query | shown_time()
    if node.kind is not NodeKind.SERVICE:
        return f"/nodes{f'/{tab}' if tab else ''}?" + urlencode({"id": node.id, **asked})
    parts = [
        *node.id.split(":", 2),
        *([tab] if tab else []),
    ]  # not the names: an id holds what was changed in them
    path = "/services/" + "/".join(quote(part, safe="") for part in parts)
    return path + (f"?{urlencode(asked)}" if asked else "")


def traces_href(node: Node, **query: str) -> str:
    """The page of example traces of a service or inferred node."""
    return node_href(node, "traces", **query)


def shown_time() -> dict[str, str]:
    """What a link or part needs in its query to show the same past; nothing while the page shows the present."""
    if not time_range().frozen:
        return {}
    return {name: request.args[name] for name in ("at", "from", "to", "tz") if request.args.get(name)}


def row_id(prefix: str, identity: str) -> str:
    """An HTML id made from an entity: readable where possible, unique and free of spaces always."""
    return f"{prefix}-{quote(identity, safe=':~@')}"


def query_with(**changes: str | None) -> str:
    """A link to the page itself with some parameters changed; None removes one.

    Relative, so that a fragment fetched by itself has the same links as inside its page.
    """
    args = {key: value for key, value in request.args.items() if key not in changes}
    args |= {key: value for key, value in changes.items() if value is not None}
    return f"?{urlencode(args)}"


def new_key() -> str:
    """An idempotency key for a form, minted when it is rendered."""
    return uuid.uuid4().hex


def time_range() -> timerange.TimeRange:
    """The page's range, or the present when its query could not be read (error pages)."""
    found: timerange.TimeRange = g.get("time_range") or timerange.present()
    return found


def time_tag(moment: datetime | None, style: str = "ago") -> Markup:
    """`<time>` with the absolute time as text; age.js turns it into an age ("4 s ago", or "for 6 m").

    Styles: `ago`, `for` (a state that lasts), `none` (stays absolute), `date` (with the day, stays).
    """
    if moment is None:
        return Markup('<span class="muted">no data</span>')
    zone = time_range().zone
    text = form.date_time(moment, zone) if style == "date" else form.clock_time(moment, zone)
    lead = "since " if style == "for" else ""
    ages = Markup(' data-age="{}"').format(style) if style in ("ago", "for") else Markup("")
    return Markup('<time datetime="{at}" title="{full}"{ages}>{lead}{text}</time>').format(
        at=moment.isoformat().replace("+00:00", "Z"),
        full=form.date_time(moment, zone),
        ages=ages,
        lead=lead,
        text=text,
    )


@blueprint.before_app_request
def know_the_caller_of_nothing() -> None:
    """An address without a route asks for no permission; its error page still shows the caller's own shell."""
    if request.endpoint is None:
        with suppress(AccessError):
            g.principal = identify(Declared(Permission.PUBLIC))


@blueprint.app_context_processor
def names() -> dict[str, Any]:
    """What differs by request, beside the names of app.web.shell (addresses, caller, CSRF token)."""
    caller = access.current()
    return {
        "principal": caller,
        "can": caller.allows,
        "version": services().version,
        "prefs": preference.current(),
        "time_range": time_range(),
        "now": clock.now(),
        "done": DONE.get(request.args.get("done", ""), ""),
    }


# Globals and filters work inside imported macros as well, which see no context.
_GLOBALS = {
    "csrf_token": csrf.token,
    "fragment": fragments.render,
    "is_here": is_here,
    "mark_of": form.mark,
    "new_key": new_key,
    "node_href": node_href,
    "shown_time": shown_time,
    "places": places,
    "presets": timerange.PRESETS,
    "query_with": query_with,
    "row_id": row_id,
    "time_tag": time_tag,
    "traces_href": traces_href,
}
_FILTERS = (
    form.about,
    form.duration,
    form.rate,
    form.ratio,
    form.latency,
    form.quantile,
    form.budget,
    form.burn,
    form.count,
    form.cut,
    form.plural,
)


@blueprint.record
def _enter(state: BlueprintSetupState) -> None:
    state.app.jinja_env.globals.update(_GLOBALS)
    state.app.jinja_env.filters.update({one.__name__: one for one in _FILTERS})
