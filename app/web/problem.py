"""One table from our errors to HTTP, and RFC 9457 problem documents for programs.

A problem says what happened and what to do; it never repeats the path, the query or a secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import orjson
from flask import Response, g
from werkzeug.exceptions import HTTPException

from app import errors

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """An error as HTTP: status, stable type name, title, sentence, what to do, extra members and headers."""

    status: int
    type: str
    title: str
    detail: str
    cure: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


# (error class, status, type, title, cure); the first match wins, so children stand before parents.
_TABLE: tuple[tuple[type[errors.QuarterdeckError], int, str, str, str], ...] = (
    (errors.NotSignedIn, 401, "not-signed-in", "Not signed in", "Sign in, or send a valid token."),
    (errors.NotAllowed, 403, "not-allowed", "Not allowed", "Ask someone whose role includes it."),
    (errors.BadInput, 400, "bad-input", "Not usable", "Correct it and send it again."),
    (errors.NotFound, 404, "not-found", "Not found", "It may have been removed; search for it."),
    (errors.TooMany, 429, "too-many", "Too many requests", "Wait and try again."),
    (errors.ActionConflict, 409, "conflict", "Changed since it was looked at", "Review the plan again."),
    (errors.ActionRefused, 409, "refused", "Refused", "Change what the rule names, then plan again."),
    (
        errors.OutcomeUnknown,
        502,
        "outcome-unknown",
        "Outcome not known",
        "It is being read again; do not repeat it.",
    ),
    (
        errors.ActionFailed,
        502,
        "action-failed",
        "The cluster refused the write",
        "Read its answer, then plan again.",
    ),
    (errors.ActionError, 500, "action-error", "The action failed", "Look at its page."),
    (errors.SchemaMismatch, 503, "schema-mismatch", "Store of another version", "Run `quarterdeck migrate`."),
    (errors.StoreError, 503, "store-unavailable", "The store does not answer", "Try again in a moment."),
    (errors.SourceRefused, 502, "source-refused", "A source refused us", "Check its credentials."),
    (errors.SourceError, 503, "source-unavailable", "A source does not answer", "See the sources page."),
    (errors.ConfigError, 500, "configuration", "The configuration is wrong", "Run `quarterdeck check`."),
)

# status -> (type, title, sentence, cure) for what Flask raises by itself; its own sentences may quote the request.
_HTTP: dict[int, tuple[str, str, str, str]] = {
    400: (
        "bad-request",
        "Bad request",
        "The request could not be read.",
        "Check its form and send it again.",
    ),
    401: (
        "not-signed-in",
        "Not signed in",
        "This needs a signed-in user.",
        "Sign in, or send a valid token.",
    ),
    403: (
        "not-allowed",
        "Not allowed",
        "This is not allowed for you.",
        "Ask someone whose role includes it.",
    ),
    404: ("not-found", "Not found", "There is nothing at this address.", "Go to the fleet, or search."),
    405: ("method-not-allowed", "Method not allowed", "This address does not do that.", "See /api/docs."),
    406: ("not-acceptable", "Not acceptable", "The answer has no such form.", "Ask for JSON."),
    408: ("timeout", "Too slow", "The request did not arrive in time.", "Send it again."),
    409: ("conflict", "Conflict", "It changed since you looked.", "Look again, then repeat."),
    410: ("gone", "Gone", "It no longer exists.", "Go to the fleet, or search."),
    411: ("length-required", "Length required", "The length of the body is missing.", "Send Content-Length."),
    413: ("too-large", "Too large", "The body is larger than this address accepts.", "Send less at once."),
    415: (
        "unsupported-media-type",
        "Unsupported media type",
        "Only application/json is read here.",
        "Send JSON.",
    ),
    422: ("bad-input", "Not usable", "The input cannot be used.", "Correct it and send it again."),
    429: ("too-many", "Too many requests", "A limit is reached.", "Wait and try again."),
    503: ("unavailable", "Not available", "A part is missing at the moment.", "Try again in a moment."),
}
_FALLBACK = (
    "internal",
    "Something broke",
    "This is a fault of ours; it has been logged.",
    "Give the request id to an operator.",
)


def of(error: BaseException) -> Answer:
    """The HTTP form of any error; what is not ours becomes a 500 without its text."""
    if isinstance(error, errors.QuarterdeckError):
        return _of_ours(error)
    if isinstance(error, HTTPException):
        status = error.code or 500
        kind, title, sentence, cure = _HTTP.get(status, _FALLBACK)
        headers = {"Allow": _allow(error)} if status == 405 else {}
        return Answer(status, kind, title, sentence, cure, headers=headers)
    kind, title, sentence, cure = _FALLBACK
    return Answer(500, kind, title, sentence, cure)


def _of_ours(error: errors.QuarterdeckError) -> Answer:
    row = next((row for row in _TABLE if isinstance(error, row[0])), None)
    if row is None:
        return Answer(500, *_FALLBACK)
    _, status, kind, title, cure = row
    extra: dict[str, Any] = {}
    headers: dict[str, str] = {}
    if isinstance(error, errors.BadInput) and error.field:
        extra["parameter"] = error.field
    if isinstance(error, errors.TooMany):
        headers["Retry-After"] = str(max(1, round(error.retry_after_seconds + 0.5)))
    if isinstance(error, errors.NotSignedIn):
        headers["WWW-Authenticate"] = 'Bearer realm="quarterdeck"'
    if status == 503:
        headers["Retry-After"] = "5"
    status = getattr(error, "status", status)
    return Answer(status, kind, title, str(error), cure, extra, headers)


def _allow(error: HTTPException) -> str:
    return ", ".join(sorted(getattr(error, "valid_methods", None) or ()))


def document(answer: Answer) -> Response:
    """The problem document (RFC 9457) of an error."""
    body = {
        "type": f"/api/docs#problem-{answer.type}",
        "title": answer.title,
        "status": answer.status,
        "detail": answer.detail,
        "cure": answer.cure,
        "request_id": g.get("request_id", ""),
        **answer.extra,
    }
    response = Response(orjson.dumps(body), status=answer.status, mimetype=MEDIA_TYPE)
    response.headers.update(answer.headers)
    response.headers["Cache-Control"] = "no-store"
    return response


_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def acceptable_request_id(text: str) -> bool:
    """Whether a caller's X-Request-Id may be taken over: short and inert."""
    return _REQUEST_ID.fullmatch(text) is not None


def catalogue() -> list[dict[str, object]]:
    """Every stable problem type with its status, title and cure, for the documentation."""
    rows = {kind: (status, title, cure) for _, status, kind, title, cure in _TABLE}
    for status, (kind, title, _, cure) in _HTTP.items():
        rows.setdefault(kind, (status, title, cure))
    rows.setdefault(_FALLBACK[0], (500, _FALLBACK[1], _FALLBACK[3]))
    return [
        {"type": kind, "status": status, "title": title, "cure": cure}
        for kind, (status, title, cure) in sorted(rows.items())
    ]
