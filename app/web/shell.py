"""What every template may use: addresses of static files, the import map, the caller, the CSRF token."""

from __future__ import annotations

from typing import Any

from flask import Flask, g
from markupsafe import Markup

from app.web import assets, csrf


def context() -> dict[str, Any]:
    """Names added to each template's context (the pages add those of the shell around them)."""
    return {
        "import_map": import_map,
        "static_url": assets.static_url,
        "build_id": assets.build_id(),
        "csrf_token": csrf.token,
        "request_id": g.get("request_id", ""),
    }


def import_map() -> Markup:
    """The import map's text: exactly the bytes that were hashed for the policy, only our own file names."""
    return Markup(assets.import_map())  # noqa: S704


def install(app: Flask) -> None:
    """Static files with the build id in their address (`url_for("static", filename=…)`), and the context."""
    app.add_url_rule(f"/static/{assets.build_id()}/<path:filename>", "static", assets.serve_immutable)
    app.add_url_rule("/static/<path:filename>", "static_plain", assets.serve_plain)
    app.context_processor(context)
