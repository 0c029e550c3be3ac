"""How this server is: version, uptime, sources, store, broker."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Response

from app import clock
from app.api import answer, shapes
from app.api.operation import api_blueprint, operation
from app.config import schema
from app.understand.document import freshness
from app.web import etag, queues
from app.web.access import requires
from app.web.etag import Bytes
from app.web.services import services

blueprint = api_blueprint("status")


@blueprint.get("/status")
@requires("read")
@operation("This server and its sources", answer=shapes.StatusAnswer)
def status() -> Response:
    """Version, uptime, each source with its lag and last error, store, broker, tasks that wait."""
    parts = services()
    now = clock.now()
    broker = parts.config.broker.url
    waiting = queues.waiting(broker)
    value = {
        "version": parts.version,
        "build": parts.build,
        "started": parts.started,
        "uptime_seconds": round((now - parts.started).total_seconds()),
        "sources": _sources(),
        "store": {
            "kind": parts.store.dialect,
            "revision": parts.reader.revision("fleet", "sources", "actions"),
        },
        "broker": {"kind": urlsplit(broker).scheme},
        "queues": [{"name": name, "waiting": count} for name, count in waiting.items()],
        "sockets": parts.live.connected() if parts.live is not None else 0,
    }
    return answer.reading(value)


@blueprint.get("/config.schema.json")
@requires("public")
@operation(
    "JSON Schema of the configuration file", answer=dict[str, Any], media_type="application/schema+json"
)
def config_schema() -> Response:
    """What `quarterdeck.yaml` may hold."""
    return etag.serve(Bytes(answer.dumps(schema()), "application/schema+json"))


def _sources() -> list[dict[str, Any]]:
    rows = freshness(services().reader.freshness(), clock.now())
    return [{**row, "lag_seconds": row["age_seconds"]} for row in rows]
