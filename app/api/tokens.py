"""API tokens of the signed-in person; an admin sees and ends everybody's. Tokens never make tokens."""

from __future__ import annotations

from typing import Any

from flask import Response

from app import clock
from app.api import answer, cursor, shapes
from app.api.operation import api_blueprint, operation
from app.api.query import CURSOR, LIMIT
from app.config import parse_duration
from app.errors import BadInput, NotAllowed, NotFound
from app.store.tokens import Token
from app.web.access import current, requires
from app.web.services import services

blueprint = api_blueprint("tokens")


@blueprint.get("/tokens")
@requires("self")
@operation("Tokens, newest first", query=(LIMIT, CURSOR), answer=shapes.Tokens)
def list_tokens(query: dict[str, Any]) -> Response:
    """One's own tokens, or all for an admin; ended ones included."""
    found = sorted(services().accounts.tokens(current()), key=_newest_first)
    shown, following = cursor.page(found, _newest_first, (float, str), query["cursor"], query["limit"])
    return answer.listing([token_row(token) for token in shown], following)


@blueprint.post("/tokens")
@requires("self")
@operation("Make a token", body=shapes.TokenBody, answer=shapes.TokenMade, status=201, told_once="token")
def make_token(body: shapes.TokenBody) -> Response:
    """The token is told once, here. Needs a sign-in of the last 15 minutes."""
    if not services().accounts.proved_lately(current()):
        raise NotAllowed("Making a token needs a sign-in of the last 15 minutes: sign in again.")
    try:
        expires_at = clock.now() + parse_duration(body.expires)
    except (ValueError, OverflowError) as error:
        raise BadInput(f"expires: {error}", field="expires") from error
    text, token = services().accounts.mint(current(), body.name, tuple(body.scopes), expires_at)
    return answer.done({**token_row(token), "token": text}, 201)


@blueprint.delete("/tokens/<token_id>")
@requires("self")
@operation("End a token", status=204)
def end_token(token_id: str) -> Response:
    """From now on the token is refused."""
    if not services().accounts.revoke(current(), token_id):
        raise NotFound("You have no living token with this id.")
    return Response(status=204)


def token_row(token: Token) -> dict[str, Any]:
    """A token without its secret."""
    names = ("id", "name", "owner", "created_at", "expires_at", "used_at", "revoked_at")
    return {name: getattr(token, name) for name in names} | {"scopes": list(token.scopes)}


def _newest_first(token: Token) -> cursor.Key:
    return [-token.created_at.timestamp(), token.id]
