"""Security headers of every answer, socket polling and errors included.

The policy is that of the interface design: no inline code but the import map (by hash), nothing from
elsewhere. A page that draws charts calls `allow_charts()`, which adds the two exceptions Plotly needs.
"""

from __future__ import annotations

from functools import cache

from flask import Response, g

from app.web.assets import import_map_hash

_STRICT_TRANSPORT = "max-age=31536000; includeSubDomains"


@cache
def policy(*, charts: bool = False) -> str:
    """The Content-Security-Policy of an ordinary page, or of one with charts."""
    images = "img-src 'self' data: blob:" if charts else "img-src 'self' data:"
    parts = [
        "default-src 'none'",
        f"script-src 'self' {import_map_hash()}",
        "style-src 'self'",
        images,
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
    if charts:
        parts.insert(3, "style-src-attr 'unsafe-inline'")
    return "; ".join(parts)


def allow_charts() -> None:
    """Called by a view whose page draws charts: this answer gets the chart policy."""
    g.charts = True


@cache
def security_headers(*, secure: bool, charts: bool = False) -> tuple[tuple[str, str], ...]:
    """The headers as pairs; `secure` = the public address is https, so the browser may be told to insist."""
    pairs = [
        ("Content-Security-Policy", policy(charts=charts)),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("X-Frame-Options", "DENY"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ]
    if secure:
        pairs.append(("Strict-Transport-Security", _STRICT_TRANSPORT))
    return tuple(pairs)


def apply(answer: Response, *, secure: bool) -> Response:
    """Put the headers on an answer of the application."""
    answer.headers.extend(security_headers(secure=secure, charts=g.get("charts", False)))
    if "Cache-Control" not in answer.headers:
        answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers.setdefault("X-Request-Id", g.get("request_id", ""))
    return answer
