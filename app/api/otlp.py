"""`POST /v1/traces`: OTLP over HTTP, protobuf or JSON, plain, gzip or zstd.

Answers as OTLP 1.9 asks: in the encoding of the request, errors as google.rpc.Status. Spans go to the collector of
this process; nothing is kept of a body that is refused.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import RequestEntityTooLarge

from app.web.access import requires
from collectors.otlp import OtlpCollector
from collectors.otlp_answer import refusal, success
from collectors.otlp_body import JSON, PROTOBUF, Full, OtlpError, TooLarge

blueprint = Blueprint("otlp", __name__)

_NOT_FOUND = 5


@blueprint.post("/v1/traces")
@requires("ingest", csrf=False)
def traces() -> Response:
    """Take spans: 200 with partial success, or 400, 404, 413, 415, 429 with a status that says why."""
    content_type = request.mimetype.lower()
    if content_type not in (PROTOBUF, JSON):
        return _text(415, f"415 unsupported media type, supported: [{JSON}, {PROTOBUF}]")
    collector = _collector()
    if collector is None:
        message = "no cluster is configured, so there is no place for spans"
        return _answer(404, content_type, refusal(content_type, code=_NOT_FOUND, message=message))
    try:
        body = _body(collector.max_body_bytes)
        result = collector.ingest(body, content_type, request.headers.get("Content-Encoding", ""))
    except OtlpError as error:
        return _refused(content_type, error)
    return _answer(200, content_type, success(content_type, rejected=result.rejected, message=result.message))


@blueprint.route("/v1/traces", methods=["GET", "PUT", "PATCH", "DELETE"])
@requires("public")
def only_post() -> Response:
    """Anything but POST is a mistake of the sender's; accepting it would hide a broken exporter."""
    answer = _text(405, "405 method not allowed, supported: [POST]")
    answer.headers["Allow"] = "POST"
    return answer


def _collector() -> OtlpCollector | None:
    services: Any = current_app.extensions["quarterdeck"]
    found: OtlpCollector | None = services.otlp
    return found


def _body(limit: int) -> bytes:
    request.max_content_length = limit
    try:
        return request.get_data(cache=False)
    except RequestEntityTooLarge as error:
        raise TooLarge(f"the body is larger than {limit} bytes") from error


def _refused(content_type: str, error: OtlpError) -> Response:
    answer = _answer(error.status, content_type, refusal(content_type, code=error.code, message=str(error)))
    if isinstance(error, Full):
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


def _answer(status: int, content_type: str, body: bytes) -> Response:
    return Response(body, status=status, content_type=content_type)


def _text(status: int, message: str) -> Response:
    return Response(message, status=status, content_type="text/plain; charset=utf-8")
