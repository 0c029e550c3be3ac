"""Probes and metrics for whoever runs this server. Liveness says only that the process answers."""

from __future__ import annotations

from flask import Blueprint, Response

from app import clock
from app.api import answer
from app.errors import ConfigError, NotFound, SchemaMismatch, StoreError
from app.model.fleet import SourceStatus
from app.store import audit
from app.web.access import requires
from app.web.metrics import MEDIA_TYPE, Sample
from app.web.services import Services, services

blueprint = Blueprint("probes", __name__)


@blueprint.get("/healthz")
@blueprint.get("/-/healthy", endpoint="healthy")
@requires("public")
def healthz() -> Response:
    """200 as long as the process answers at all."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.get("/readyz")
@blueprint.get("/-/ready", endpoint="ready")
@requires("public")
def readyz() -> Response:
    """200 when requests can be served, else 503 with the reasons. Silent sources do not count: pages say so."""
    reasons = _reasons(services())
    body = answer.dumps({"ready": not reasons, "reasons": reasons})
    response = Response(body, status=503 if reasons else 200, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    if reasons:
        response.headers["Retry-After"] = "5"
    return response


@blueprint.get("/metrics")
@requires("read", group="metrics")
def metrics() -> Response:
    """Own metrics for Prometheus: without a token from this machine, with one (scope read) from elsewhere."""
    return Response(services().metrics.render(), content_type=MEDIA_TYPE)


@blueprint.post("/-/reload")
@requires("admin", group="reload")
def reload() -> Response:
    """Read the configuration again; 500 with every problem when it is wrong, and nothing changes then."""
    again = services().reload
    if again is None:
        raise NotFound("This process cannot reload its configuration: restart it.")
    try:
        again()
    except ConfigError as error:
        return Response(f"{error}\n", status=500, mimetype="text/plain")
    return Response(status=200)


def _reasons(parts: Services) -> list[dict[str, str]]:
    try:
        parts.store.check_schema()
    except SchemaMismatch:
        return [{"code": "schema", "message": "the store has another schema: run `quarterdeck migrate`"}]
    except StoreError:
        return [{"code": "store", "message": "the store does not answer"}]
    return []


def register_gauges(parts: Services) -> None:
    """What the store says about sources and the audit chain, read at each scrape."""
    gauge = parts.metrics.gauge
    gauge("quarterdeck_source_age_seconds", "Time since a source was last heard.", lambda: _ages(parts))
    gauge("quarterdeck_source_up", "Whether a source answers.", lambda: _ups(parts))
    gauge("quarterdeck_audit_head", "Sequence number of the newest audit row.", lambda: _head(parts))
    spans = "Spans taken, and what was refused, dropped or doubted, by name."
    parts.metrics.counter("quarterdeck_otlp_total", spans, lambda: _spans(parts))


def _ages(parts: Services) -> list[Sample]:
    now = clock.now()
    heard = ((one.source, one.as_of) for one in parts.reader.freshness())
    return [({"source": name}, (now - at).total_seconds()) for name, at in heard if at is not None]


def _ups(parts: Services) -> list[Sample]:
    sources = parts.reader.freshness()
    return [({"source": one.source}, float(one.status is SourceStatus.OK)) for one in sources]


def _spans(parts: Services) -> list[Sample]:
    totals = dict(parts.otlp.totals) if parts.otlp is not None else {}
    return [({"what": what}, float(number)) for what, number in sorted(totals.items())]


def _head(parts: Services) -> list[Sample]:
    with parts.store.reading() as session:
        number, _ = audit.head(session)
    return [({}, float(number))]
