"""The OTLP endpoint on a small Flask application of its own, and the recorded bodies."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flask import Flask
from werkzeug.serving import make_server

from app.api.otlp import blueprint
from collectors.otlp import OtlpCollector
from collectors.span_read import read_protobuf

RECORDED = Path(__file__).parent.parent / "recorded"
BODIES = sorted((RECORDED / "otlp").glob("traces_protobuf_*.bin"))


def small_app(collector: OtlpCollector | None) -> Flask:
    app = Flask("otlp-test")
    app.extensions["quarterdeck"] = SimpleNamespace(otlp=collector)
    app.register_blueprint(blueprint)
    return app


@contextmanager
def served(collector: OtlpCollector) -> Iterator[str]:
    """The application on a free port of 127.0.0.1; gives its base URL."""
    server = make_server("127.0.0.1", 0, small_app(collector), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(case: str) -> dict[str, Any]:
    """How a real backend answered."""
    found: dict[str, Any] = json.loads((RECORDED / "otlp" / f"response_tempo_{case}.json").read_text())
    return found


def end_of(*bodies: bytes) -> datetime:
    """A second after the last span of recorded bodies ended."""
    last = max(int(read_protobuf(body, now_ns=2**62).end.max()) for body in bodies)
    return datetime.fromtimestamp(last / 1e9, UTC) + timedelta(seconds=1)
