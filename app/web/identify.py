"""Who sends this request: a session cookie, a bearer token, a program on this machine, or nobody.

A credential that was sent and is not valid is an error (401); it never falls through to anonymous viewing.
"""

from __future__ import annotations

from flask import request

from app.errors import NotSignedIn
from app.web import cookies
from app.web.access import NOBODY, Declared, Kind, Principal
from app.web.origin import foreign, from_loopback
from app.web.services import Services, services


def identify(declared: Declared) -> Principal:
    """The caller of the present request. Raises NotSignedIn for a credential that does not hold."""
    parts = services()
    header = request.headers.get("Authorization")
    if header is not None:
        return _by_token(parts, header)
    secret = request.cookies.get(cookies.name(parts.config))
    if secret:
        found = parts.accounts.by_session(secret)
        if found is not None:
            return found
    if declared.group and _let_in(parts, declared.group):
        scopes = frozenset({str(declared.permission)})
        return Principal(f"{declared.group} without a token", scopes=scopes, kind=Kind.LOOPBACK)
    return anonymous(parts)


def anonymous(parts: Services) -> Principal:
    """The caller without credentials: a viewer where the configuration says so."""
    if parts.config.auth.anonymous == "viewer":
        return Principal("anonymous", role="viewer", kind=Kind.ANONYMOUS)
    return NOBODY


def _by_token(parts: Services, header: str) -> Principal:
    scheme, _, text = header.partition(" ")
    found = parts.accounts.by_token(text.strip()) if scheme.lower() == "bearer" else None
    if found is None:
        raise NotSignedIn("The token is not valid: unknown, revoked or expired.")
    return found


def _let_in(parts: Services, group: str) -> bool:
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if foreign(origin, site, parts.origins):
        return False
    return group in parts.config.auth.open or from_loopback(request.environ, parts.config.server.listen)


def signed_in() -> bool:
    """Whether the request carries the cookie of a session, valid or not (CSRF rules look at it)."""
    return cookies.name(services().config) in request.cookies


def peer() -> str:
    """The caller's address; forwarded addresses count only behind configured proxies (ProxyFix)."""
    return request.remote_addr or "unknown"
