"""What every template and macro may use: addresses of static files, the import map, the CSRF token."""

from __future__ import annotations

from flask import Flask, g
from markupsafe import Markup

from app.web import assets, csrf


def import_map() -> Markup:
    """The import map's text: exactly the bytes that were hashed for the policy, only our own file names."""
    return Markup(assets.import_map())  # noqa: S704


def request_id() -> str:
    """The id under which this request is logged."""
    found: str = g.get("request_id", "")
    return found


def install(app: Flask) -> None:
    """Static files with the build id in their address (`url_for("static", filename=…)`), and Jinja's globals.

    Globals, not context, because imported macros see only those.
    """
    app.add_url_rule(f"/static/{assets.build_id()}/<path:filename>", "static", assets.serve_immutable)
    app.add_url_rule("/static/<path:filename>", "static_plain", assets.serve_plain)
    app.jinja_env.globals.update(
        import_map=import_map,
        static_url=assets.static_url,
        build_id=assets.build_id(),
        csrf_token=csrf.token,
    )
    app.context_processor(lambda: {"request_id": request_id()})
