"""The OpenAPI 3.1 document, made from what each view declares, and its readable page."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec
from apispec import APISpec
from flask import Flask, Response, current_app, render_template
from werkzeug.routing import Rule

from app.api import answer, shapes
from app.api.operation import Operation, api_blueprint, operation
from app.web import etag, problem
from app.web.access import Permission, requires
from app.web.etag import Bytes
from app.web.services import services

blueprint = api_blueprint("document", prefix="/api")

_PREFIX = "/api/v1"
_REF = "#/components/schemas/{name}"
_CONVERTER = re.compile(r"<(?:[a-z]+:)?([a-z_]+)>")
_FAILURES = {
    "400": "A parameter or the body cannot be read; `parameter` names it.",
    "401": "No valid credentials.",
    "403": "Not allowed for this caller.",
    "429": "Too many requests; see Retry-After.",
    "503": "A part is missing at the moment; see Retry-After.",
}
_UNSAFE_FAILURES = {
    "409": "It changed since it was looked at, or a rule stands against it.",
    "415": "The body is not application/json.",
    "422": "The body is not of the form that is needed.",
}


@blueprint.get("/v1/openapi.json")
@requires("public")
@operation("This document", answer=dict[str, Any])
def openapi() -> Response:
    """Every endpoint under /api/v1."""
    return etag.serve(_bytes(current_app.import_name, id(current_app.url_map)))


@blueprint.get("/docs")
@requires("public")
def docs() -> str:
    """The same as a page."""
    return render_template("pages/api_docs.html", spec=describe(_app()), problems=problem.catalogue())


@cache
def _bytes(_name: str, _map: int) -> Bytes:
    return Bytes(answer.dumps(describe(_app())))


def _app() -> Flask:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # the proxy's own way
    return app


def describe(app: Flask) -> dict[str, Any]:
    """The document as plain values."""
    spec = APISpec(
        title="Quarterdeck",
        version=services().version,
        openapi_version="3.1.0",
        info={"description": "See, understand, act on and verify a fleet of microservices."},
        servers=[{"url": "/"}],
        security=[{"bearer": []}, {"session": []}],
    )
    _add_security(spec)
    found = [(rule, view.operation) for rule, view in _views(app)]
    _add_schemas(spec, [one for _, one in found])
    paths: dict[str, dict[str, Any]] = {}
    for rule, one in found:
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(path_of(rule), {})[method.lower()] = _method(app, rule, one, method)
    for path, methods in sorted(paths.items()):
        spec.path(path=path, operations=methods)
    made: dict[str, Any] = spec.to_dict()
    return made


def path_of(rule: Rule) -> str:
    """The rule in OpenAPI's way of writing parameters."""
    return _CONVERTER.sub(r"{\1}", rule.rule)


def _views(app: Flask) -> list[tuple[Rule, Any]]:
    rules = sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)
    views = [(rule, app.view_functions[rule.endpoint]) for rule in rules if rule.rule.startswith(_PREFIX)]
    return [(rule, view) for rule, view in views if hasattr(view, "operation")]


def _add_security(spec: APISpec) -> None:
    bearer = {"type": "http", "scheme": "bearer", "description": "An API token `qd_…`."}
    session = {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-qd",
        "description": "A browser session; unsafe methods also need the header X-QD-CSRF.",
    }
    spec.components.security_scheme("bearer", bearer)
    spec.components.security_scheme("session", session)


def _types(operations: list[Operation]) -> list[Any]:
    types = [shapes.Problem]
    for one in operations:
        types += [kind for kind in (one.answer, one.body) if kind is not None and kind not in types]
    return types


def _add_schemas(spec: APISpec, operations: list[Operation]) -> None:
    _, components = msgspec.json.schema_components(_types(operations), ref_template=_REF)
    for name, schema in components.items():
        spec.components.schema(name, component=schema)


def _schema_of(kind: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REF)
    return schema


def _method(app: Flask, rule: Rule, one: Operation, method: str) -> dict[str, Any]:
    view = app.view_functions[rule.endpoint]
    permission: Permission = vars(view)["permission"]  # `requires` put it there
    described: dict[str, Any] = {
        "operationId": rule.endpoint.removeprefix("api_").replace(".", "_"),
        "summary": one.summary,
        "description": f"{view.__doc__ or ''} Needs the permission `{permission}`.".strip(),
        "tags": [rule.endpoint.partition(".")[0].removeprefix("api_")],
        "parameters": [*_path_parameters(rule), *(parameter.described() for parameter in one.query)],
        "responses": _responses(one, rule, method),
    }
    if permission is Permission.PUBLIC:
        described["security"] = []
    if method == "POST":
        described["parameters"].append(_idempotency_key())
    if one.body is not None:
        content = {"application/json": {"schema": _schema_of(one.body)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _path_parameters(rule: Rule) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _CONVERTER.findall(rule.rule)
    ]


def _idempotency_key() -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "Sent twice, done once: the second answer repeats the first.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[\\x21-\\x7e]+$"},
    }


def _responses(one: Operation, rule: Rule, method: str) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done." if method != "GET" else "The answer."}
    if one.answer is not None:
        good["content"] = {one.media_type: {"schema": _schema_of(one.answer)}}
    answers: dict[str, Any] = {str(one.status): good}
    for status, sentence in one.also.items():
        answers[str(status)] = {**good, "description": sentence}
    if method == "GET":
        answers["304"] = {"description": "What the caller holds is still right."}
    failures = dict(_FAILURES) if method == "GET" else _FAILURES | _UNSAFE_FAILURES
    if rule.arguments or method == "GET":
        failures["404"] = "No such thing."
    for failure, sentence in failures.items():
        answers[failure] = _failure(sentence)
    return answers


def _failure(sentence: str) -> dict[str, Any]:
    content = {problem.MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}}
    return {"description": sentence, "content": content}
