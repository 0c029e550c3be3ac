"""The session cookie: `__Host-qd` behind https, a plainly named development cookie on plain http.

`Lax`, not `Strict`: the return from a single sign-on provider is a cross-site navigation.
"""

from __future__ import annotations

from flask import Response

from app.config import Config

_SECURE = "__Host-qd"
_PLAIN = "qd_dev"


def is_https(config: Config) -> bool:
    """Whether browsers reach us by https, as the public address says."""
    return (config.server.external_url or "").startswith("https://")


def name(config: Config) -> str:
    """The cookie's name under this configuration."""
    return _SECURE if is_https(config) else _PLAIN


def put(answer: Response, config: Config, secret: str) -> None:
    """Set the cookie; it lives as long as the browser, the session itself ends on the server."""
    answer.set_cookie(name(config), secret, secure=is_https(config), httponly=True, samesite="Lax", path="/")


def drop(answer: Response, config: Config) -> None:
    """Remove the cookie."""
    answer.delete_cookie(name(config), secure=is_https(config), httponly=True, samesite="Lax", path="/")
