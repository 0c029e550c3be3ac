"""The topology endpoint as one writes it first: the rows are there, `jsonify` makes the answer."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, jsonify


def make_app(rows: dict[str, Any]) -> Flask:
    """An application with one route and no checks at all (the chosen way pays for its session and headers)."""
    app = Flask("naive")
    app.json.sort_keys = False  # type: ignore[attr-defined]

    @app.get("/api/v1/topology")
    def topology() -> Response:
        return jsonify(rows)

    return app
