"""What happens around every request: its id, who calls, forgery checks, limits, headers, counters."""

from __future__ import annotations

import logging
import secrets

from flask import Flask, Response, g, request

from app import clock
from app.errors import NotFound, TooMany
from app.web import access, cookies, csrf, headers, identify, problem
from app.web.access import Kind, current
from app.web.limits import Taken
from app.web.services import services

log = logging.getLogger("quarterdeck.web")

_LIMIT_OF = {
    Kind.USER: "session",
    Kind.TOKEN: "token",
    Kind.ANONYMOUS: "anonymous",
    Kind.LOOPBACK: "anonymous",
}


def install(app: Flask) -> None:
    """Register the hooks, in the order they run."""
    app.before_request(_begin)
    app.before_request(_authorise)
    app.before_request(csrf.check)
    app.before_request(_limit)
    app.after_request(_finish)


def _begin() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if problem.acceptable_request_id(given) else secrets.token_hex(8)
    g.begun = clock.monotonic()
    if "\x00" in request.path:
        raise NotFound(
            "There is nothing at this address."
        )  # no name holds it, and PostgreSQL refuses to look


def _authorise() -> None:
    access.guard(identify.identify)


def _limit() -> None:
    """API calls of one caller; pages and their fragments are not counted, ingest answers 429 by itself."""
    if not (request.blueprint or "").startswith("api_"):
        return
    who = current()
    key = who.session or identify.peer()
    g.taken = services().limits.take(_LIMIT_OF[who.kind], key)
    if not g.taken.allowed:
        raise TooMany("More requests than this caller may send.", retry_after_seconds=g.taken.retry_after)


def _finish(answer: Response) -> Response:
    parts = services()
    headers.apply(answer, secure=cookies.is_https(parts.config))
    taken: Taken | None = g.get("taken")
    if taken is not None:
        answer.headers["RateLimit-Limit"] = str(taken.limit)
        answer.headers["RateLimit-Remaining"] = str(taken.remaining)
        answer.headers["RateLimit-Reset"] = str(max(0, round(taken.reset)))
    answer.headers["X-QD-Build"] = parts.build
    begun = g.get("begun", clock.monotonic())
    parts.metrics.observe(
        request.endpoint or "none", request.method, answer.status_code, clock.monotonic() - begun
    )
    return answer
