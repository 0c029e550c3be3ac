"""Cross-site request forgery: which unsafe requests are believed.

1. The browser's own word (Origin, Sec-Fetch-Site) must name one of our origins, if it is given.
2. Bodies for the API are JSON, which no form can send.
3. A request with a session carries the session's token, as `X-QD-CSRF` or as the form field `csrf_token`.
4. A bearer token alone needs no CSRF token, because no browser sends it by itself; beside a cookie it does.
Source: reference security 4, OWASP ASVS 5.0 V3.5.1.
"""

from __future__ import annotations

import hmac

from flask import request

from app.errors import NotAllowed
from app.web import cookies
from app.web.access import Kind, Permission, current, declared_for
from app.web.identify import signed_in
from app.web.origin import foreign
from app.web.services import services

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class NotJson(NotAllowed):
    """The body is of a type that is not read here."""

    status = 415


def check() -> None:
    """Refuse a forged unsafe request. Raises NotAllowed (403) or NotJson (415)."""
    declared = declared_for(request.endpoint)
    if request.method in _SAFE or declared is None:
        return
    _check_site()
    if declared.permission is Permission.INGEST:
        return  # OTLP has its own media types, and no cookie gives the permission to ingest
    if _for_api():
        _check_json()
    if declared.csrf and (current().kind is Kind.USER or signed_in()):
        _check_token()


def _for_api() -> bool:
    return (request.blueprint or "").startswith("api_")


def _check_site() -> None:
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if foreign(origin, site, services().origins):
        raise NotAllowed("The request comes from a page that is not ours.")


def _check_json() -> None:
    has_body = bool(request.content_length) or "Transfer-Encoding" in request.headers
    if (has_body or request.mimetype) and request.mimetype != "application/json":
        raise NotJson("The body must be application/json.")


def _check_token() -> None:
    expected = current().csrf_token
    if not expected and signed_in():
        found = services().accounts.by_session(_cookie())
        expected = found.csrf_token if found else ""
    sent = request.headers.get("X-QD-CSRF") or (request.form.get("csrf_token", "") if not _for_api() else "")
    if not expected or not hmac.compare_digest(expected.encode(), sent.encode()):
        raise NotAllowed("The form is too old or was not ours. Reload the page and send it again.")


def _cookie() -> str:
    return request.cookies.get(cookies.name(services().config), "")


def token() -> str:
    """The session's token for forms (`csrf_token`) and scripts; empty when nobody is signed in."""
    return current().csrf_token
