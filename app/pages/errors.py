"""Errors as answers: a page for browsers, a problem document for programs. Neither repeats the request."""

from __future__ import annotations

import logging
from urllib.parse import quote

from flask import Flask, Response, g, redirect, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from app.errors import NotSignedIn, QuarterdeckError
from app.web import problem
from app.web.access import current
from app.web.services import services

log = logging.getLogger("quarterdeck.web")

_FOR_PROGRAMS = ("/api/", "/v1/", "/healthz", "/readyz", "/metrics", "/-/")


def install(app: Flask) -> None:
    """Handle our own errors, Flask's, and whatever was not foreseen."""
    app.register_error_handler(QuarterdeckError, answer_to)
    app.register_error_handler(HTTPException, answer_to)
    app.register_error_handler(Exception, answer_to)


def answer_to(error: Exception) -> Response:
    """The response to any error of a view or of the checks before it."""
    if isinstance(error, RequestRedirect):
        return error.get_response()  # type: ignore[return-value]  # werkzeug's own 308, without the query
    answer = problem.of(error)
    if answer.status >= 500:
        _log(error, answer)
    if _for_program():
        return problem.document(answer)
    if isinstance(error, NotSignedIn) and _is_navigation():
        return _to_sign_in()
    return _page(answer)


def _log(error: Exception, answer: problem.Answer) -> None:
    expected = isinstance(error, QuarterdeckError)
    log.error(
        "%s answered %d (request %s): %s",
        request.endpoint,
        answer.status,
        g.get("request_id", ""),
        error if expected else type(error).__name__,
        exc_info=None if expected else error,
    )


def _for_program() -> bool:
    if request.path.startswith(_FOR_PROGRAMS) or (request.blueprint or "").startswith("api_"):
        return True
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def _is_navigation() -> bool:
    """A person opening a page, not a script fetching a piece of one (that one needs the plain 401)."""
    fetched = request.headers.get("Sec-Fetch-Dest", "document") != "document"
    program = fetched or "Authorization" in request.headers or request.path.startswith("/fragments/")
    return request.method == "GET" and not program


def _to_sign_in() -> Response:
    if not services().accounts.has_users():
        return redirect("/setup", code=303)  # type: ignore[return-value]
    wanted = request.full_path.rstrip("?")
    target = f"/login?next={quote(wanted, safe='')}" if wanted != "/" else "/login"
    return redirect(target, code=303)  # type: ignore[return-value]


def _page(answer: problem.Answer) -> Response:
    """The error page in the shell; plain words when even that cannot be drawn."""
    values = {
        "status": answer.status,
        "title": answer.title,
        "message": answer.detail,
        "cure": answer.cure,
        "request_id": g.get("request_id", ""),
        "principal": current(),
    }
    try:
        body = render_template("pages/error.html", **values)
        response = Response(body, status=answer.status, mimetype="text/html")
    except Exception as fault:  # whatever the template stumbles over, the reader gets an answer
        log.error("the error page could not be drawn: %s", type(fault).__name__)
        text = f"{answer.title}. {answer.detail} {answer.cure} (request {values['request_id']})\n"
        response = Response(text, status=answer.status, mimetype="text/plain")
    response.headers.update({k: v for k, v in answer.headers.items() if k != "WWW-Authenticate"})
    response.headers["Cache-Control"] = "no-store"
    return response
