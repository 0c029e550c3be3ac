"""One declaration per endpoint: parameters, body, answer. It reads the request, and OpenAPI is made from it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from flask import Blueprint, current_app, request

from app.api import once
from app.api.query import Parameter
from app.errors import BadInput

View = Callable[..., Any]


class NotValid(BadInput):
    """The body is JSON, but not of the form that is needed."""

    status = 422


@dataclass(frozen=True, slots=True)
class Operation:
    """What a view says of itself. `answer` and `body` are types that msgspec knows the schema of; `told_once` names
    the field of the answer that is told once and never again."""

    summary: str
    answer: Any = None
    query: tuple[Parameter, ...] = ()
    body: Any = None
    status: int = 200
    media_type: str = "application/json"
    told_once: str = ""
    also: Mapping[int, str] = field(default_factory=dict)


def api_blueprint(name: str, prefix: str = "/api/v1") -> Blueprint:
    """A blueprint of the API; the name marks it for JSON-only bodies, limits and problem documents."""
    return Blueprint(f"api_{name}", f"app.api.{name}", url_prefix=prefix)


def operation(summary: str, **declared: Any) -> Callable[[View], View]:
    """Declare an endpoint; goes under `@requires`.

    The view gets `query` (values by name) when it has parameters, `body` when it takes one. A POST with an
    Idempotency-Key is done once and answered from memory afterwards.
    """
    made = Operation(summary, **declared)

    def declare(view: View) -> View:
        @functools.wraps(view)
        def reading(**path: Any) -> Any:
            given = dict(path)
            if made.query:
                args = request.args.to_dict()
                given["query"] = {one.name: one.read(args) for one in made.query}
            if made.body is not None:
                given["body"] = read_body(made.body)
            if request.method == "POST":
                return once.answer(lambda: current_app.make_response(view(**given)), hide=made.told_once)
            return view(**given)

        reading.operation = made  # type: ignore[attr-defined]
        return reading

    return declare


def read_body(kind: Any) -> Any:
    """The JSON body as `kind`. Raises BadInput (no JSON) or NotValid, naming the field."""
    raw = request.get_data()
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        name = place.rstrip("`").lstrip(".") or None
        raise NotValid(f"{name or 'body'}: {message}", field=name) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput("The body is not JSON.", field="body") from error
