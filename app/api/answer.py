"""Answers in JSON: with `as_of`, freshness per source, an entity tag, and pages that link to the next."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import orjson
from flask import Response, request

from app import clock
from app.understand.document import freshness
from app.web import etag
from app.web.etag import chosen_encoding, compress
from app.web.services import services

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def dumps(value: Any) -> bytes:
    """JSON bytes: times as RFC 3339 UTC, NaN as null, timedeltas as seconds."""
    return orjson.dumps(value, default=_plain, option=_OPTIONS)


def reading(value: dict[str, Any], *, as_of: datetime | None = None, cluster: str | None = None) -> Response:
    """A read: the value with `as_of` and `freshness`, or 304.

    The tag is weak: it covers the value and the states of the sources, not ages that change by themselves.
    """
    sources = services().reader.freshness(cluster)
    states = [(one.source, one.status, one.error) for one in sources]
    tag = _weak(dumps([value, as_of, states]))
    unchanged = etag.not_modified(tag)
    if unchanged is not None:
        return unchanged
    body = dumps({**value, "as_of": as_of or clock.now(), "freshness": freshness(sources, clock.now())})
    return etag.tagged(_compressed(body), tag)


def listing(
    items: Sequence[Any], next_cursor: str | None, *, as_of: datetime | None = None, **more: Any
) -> Response:
    """A page of a list, with `Link: rel="next"` while there is more."""
    response = reading({"items": items, "next_cursor": next_cursor, **more}, as_of=as_of)
    if next_cursor is not None:
        response.headers["Link"] = f'<{_next_address(next_cursor)}>; rel="next"'
    return response


def done(value: Any, status: int = 200, *, location: str | None = None) -> Response:
    """The answer to a change; never cached."""
    response = Response(dumps(value), status=status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    if location is not None:
        response.headers["Location"] = location
    return response


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (frozenset, set)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _weak(body: bytes) -> str:
    return f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def _compressed(body: bytes) -> Response:
    encoding = chosen_encoding(request.headers.get("Accept-Encoding", ""), len(body))
    if encoding == "identity":
        return Response(body, mimetype="application/json")
    response = Response(compress(body, encoding), mimetype="application/json")
    response.headers["Content-Encoding"] = encoding
    return response


def _next_address(cursor: str) -> str:
    args = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    return f"{request.path}?{urlencode([*args, ('cursor', cursor)])}"
