"""Idempotency-Key: the same POST sent twice is done once and gets the same answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import orjson
from flask import Response, request

from app.errors import ActionConflict, BadInput
from app.store import idempotency
from app.store.idempotency import Answer
from app.web.access import current
from app.web.services import services

_LONGEST = 200
_KEPT_HEADERS = ("Content-Type", "Location")


class StillRunning(ActionConflict):
    """The first request with this key has not been answered yet."""


def answer(work: Callable[[], Response], *, hide: str = "") -> Response:
    """Do the work, or repeat the answer it had before. A request that failed may be sent again.

    `hide` names a field that is a secret: it is told once, and never kept nor repeated.
    """
    key = present_key()
    if key is None:
        return work()
    who = _who()
    with services().store.begin() as session:
        earlier = idempotency.claim(session, who, key, _digest())
    if earlier is not None:
        return _repeat(earlier)
    return _first(who, key, work, hide)


def present_key() -> str | None:
    """The request's Idempotency-Key. Raises BadInput when it is none."""
    key = request.headers.get("Idempotency-Key")
    if key is None or (1 <= len(key) <= _LONGEST and key.isprintable() and key.isascii()):
        return key
    raise BadInput(f"Idempotency-Key has 1 to {_LONGEST} printable characters.", field="Idempotency-Key")


def _first(who: str, key: str, work: Callable[[], Response], hide: str) -> Response:
    store = services().store
    try:
        response = work()
    except BaseException:
        with store.begin() as session:
            idempotency.abandon(session, who, key)
        raise
    kept = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    with store.begin() as session:
        idempotency.remember(session, who, key, Answer(response.status_code, _without(response, hide), kept))
    return response


def _without(response: Response, field: str) -> bytes:
    if not field:
        return response.get_data()
    return orjson.dumps({**orjson.loads(response.get_data()), field: None})


def _repeat(earlier: Answer) -> Response:
    if earlier.status is None:
        raise StillRunning("The first request with this Idempotency-Key is still running.")
    response = Response(earlier.body, status=earlier.status, headers=earlier.headers)
    response.headers["Idempotency-Replayed"] = "true"
    return response


def _who() -> str:
    principal = current()
    return f"{principal.kind}:{principal.name}:{principal.session if principal.kind == 'token' else ''}"


def _digest() -> str:
    parts = (request.method.encode(), request.full_path.encode(), request.get_data())
    return hashlib.sha256(b"\x00".join(parts)).hexdigest()
