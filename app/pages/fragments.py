"""Parts of pages that refresh by themselves: the same partial inside the page and at /fragments/<name>.

A fragment's ETag is known from the store's revisions, the caller, the preferences and the query, so an
unchanged one is answered with 304 before anything is rendered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, make_response, render_template, request
from flask.blueprints import BlueprintSetupState
from markupsafe import Markup

from app.errors import NotFound
from app.pages import freshness, preference, timerange
from app.web import access
from app.web.access import requires
from app.web.services import services

blueprint = Blueprint("fragments", __name__)

Context = Callable[[], dict[str, Any]]
Topics = Callable[[], tuple[str, ...]]
_PLACE = "quarterdeck.fragments"


@dataclass(frozen=True, slots=True)
class Fragment:
    """`topics` tells what makes it stale (it may look at the query), `context` what its template needs."""

    name: str
    topics: Topics
    context: Context
    permission: str

    @property
    def etag(self) -> str:
        """Build, revision of the topics, and a hash of all else the bytes depend on; without quotes."""
        parts, caller = services(), access.current()
        rest = repr(
            (
                caller.name,
                caller.role,
                sorted(caller.scopes),
                caller.session,
                preference.current().key,
                freshness.key(),
                _query(),
            )
        )
        digest = hashlib.sha256(rest.encode()).hexdigest()[:10]
        return f"{parts.build}-{parts.reader.revision(*self.topics())}-{digest}"

    def render(self) -> Markup:
        """The partial in its frame; the frame's attributes are what refresh.js reads."""
        query, rev = _query(), self.etag  # asked for before the content, which may then only be newer
        address = f"/fragments/{self.name}" + (f"?{query}" if query else "")
        body = Markup(render_template(f"fragments/{self.name}.html", **self.context()))  # noqa: S704 - autoescaped
        return Markup(
            '<section id="f-{name}" data-fragment="{address}" data-topics="{topics}" data-rev="{rev}">\n'
            "{body}\n</section>"
        ).format(name=self.name, address=address, topics=json.dumps(self.topics()), rev=f'"{rev}"', body=body)


def fragment(
    owner: Blueprint, name: str, *, topics: tuple[str, ...] | Topics, permission: str = "read"
) -> Callable[[Context], Context]:
    """Declare a fragment of a page; the decorated function answers the context of fragments/<name>.html."""
    stale_by: Topics = topics if callable(topics) else lambda: topics

    def declare(context: Context) -> Context:
        made = Fragment(name, stale_by, context, permission)

        def enter(state: BlueprintSetupState) -> None:
            state.app.extensions.setdefault(_PLACE, {})[name] = made

        owner.record(enter)
        return context

    return declare


def find(name: str) -> Fragment:
    """The fragment of that name. Raises NotFound."""
    found: Fragment | None = current_app.extensions.get(_PLACE, {}).get(name)
    if found is None:
        raise NotFound("There is no such part of a page.")
    return found


def render(name: str) -> Markup:
    """What templates call: `{{ fragment("wall") }}`."""
    return find(name).render()


@blueprint.get("/fragments/<name>")
@requires("read")
def show(name: str) -> Response:
    """One fragment by itself, or 304."""
    wanted = find(name)
    access.demand(wanted.permission)
    timerange.requested()
    etag = wanted.etag
    fresh = request.if_none_match.contains_weak(etag)
    answer = make_response(b"" if fresh else wanted.render(), 304 if fresh else 200)
    answer.set_etag(etag)
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers["Vary"] = "Cookie"
    answer.headers["X-QD-Build"] = services().build
    return answer


def _query() -> str:
    """The query a part is asked with: that of the page, and what the page's own path names."""
    place = {} if request.endpoint == "fragments.show" else request.view_args or {}
    return urlencode(sorted([*place.items(), *request.args.items(multi=True)]))
