"""Actions from plan to verdict. The rules are those of `app.act`, which pages call as well."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Response

from app import act
from app.api import action_shapes as shapes
from app.api import answer, cursor
from app.api.action_rows import action_row, wait_for_plan
from app.api.once import present_key
from app.api.operation import api_blueprint, operation
from app.api.query import CURSOR, LIMIT, choice, text
from app.errors import BadInput, NotFound, TooMany
from app.model.action import ActionState, Target, person_of
from app.store import actions
from app.store.actions import ActionRow
from app.web.access import current, requires
from app.web.services import services

blueprint = api_blueprint("actions")

_STATE = choice("state", "Only actions in this state.", tuple(ActionState))
_TARGET = text("target", "Only actions on this workload: `cluster/namespace/Kind/name`.")
_PLANNING = {202: "The plan is not ready after 10 s; its state is `planning`: read it again."}


@blueprint.get("/actions")
@requires("read")
@operation("Actions, newest first", query=(_STATE, _TARGET, LIMIT, CURSOR), answer=shapes.Actions)
def list_actions(query: dict[str, Any]) -> Response:
    """A page of actions."""
    before = _before(query["cursor"]) if query["cursor"] else None
    states = [ActionState(query["state"])] if query["state"] else None
    target = _target(query["target"]) if query["target"] else None
    with services().store.reading() as session:
        rows = actions.page(session, limit=query["limit"] + 1, before=before, states=states, target=target)
    shown = rows[: query["limit"]]
    following = _cursor(shown[-1]) if len(rows) > query["limit"] else None
    return answer.listing([action_row(row) for row in shown], following)


@blueprint.post("/actions")
@requires("act")
@operation("Plan an action", body=shapes.ActionBody, answer=shapes.ActionAnswer, status=201, also=_PLANNING)
def propose(body: shapes.ActionBody) -> Response:
    """The plan with its diff, checks and forecast; nothing but a dry run reaches the cluster."""
    _spend()
    parts = services()
    target = Target(body.target.cluster, body.target.namespace, body.target.kind, body.target.name)
    row = act.propose(
        parts.store,
        parts.config,
        current(),
        body.kind,
        target,
        body.params,
        body.reason,
        incident=body.incident,
        idempotency_key=present_key(),
    )
    row = wait_for_plan(row)
    status = 202 if row.state is ActionState.PLANNING else 201
    return answer.done(action_row(row), status, location=f"/api/v1/actions/{row.id}")


@blueprint.get("/actions/<action_id>")
@requires("read")
@operation("One action", answer=shapes.ActionRead)
def one_action(action_id: str) -> Response:
    """From plan to verdict, with who did what."""
    return answer.reading(action_row(_load(action_id)))


@blueprint.post("/actions/<action_id>/execute")
@requires("act")
@operation("Apply exactly the plan of this hash", body=shapes.ExecuteBody, answer=shapes.ActionAnswer)
def execute(action_id: str, body: shapes.ExecuteBody) -> Response:
    """409 with what changed since, when it is no longer that plan."""
    _spend()
    parts = services()
    row = act.execute(
        parts.store, parts.config, current(), action_id, body.plan_hash, confirm=body.confirmation or None
    )
    return answer.done(action_row(row))


@blueprint.post("/actions/<action_id>/cancel")
@requires("act")
@operation("Withdraw an action that was not sent", answer=shapes.ActionAnswer)
def cancel(action_id: str) -> Response:
    """409 once it was sent."""
    parts = services()
    return answer.done(action_row(act.cancel(parts.store, parts.config, current(), action_id)))


@blueprint.post("/actions/<action_id>/approve")
@requires("approve")
@operation("Agree as the second person", answer=shapes.ActionAnswer)
def approve(action_id: str) -> Response:
    """Never by who proposed it, in person or through a token."""
    parts = services()
    return answer.done(action_row(act.approve(parts.store, parts.config, current(), action_id)))


@blueprint.post("/actions/<action_id>/reject")
@requires("approve")
@operation("Disagree as the second person", body=shapes.WordBody, answer=shapes.ActionAnswer)
def reject(action_id: str, body: shapes.WordBody) -> Response:
    """The action ends refused."""
    parts = services()
    return answer.done(action_row(act.reject(parts.store, parts.config, current(), action_id, body.reason)))


def _spend() -> None:
    """Ten plans and executions a minute per caller."""
    taken = services().limits.take("actions", person_of(current().name))
    if not taken.allowed:
        raise TooMany(
            "More actions than one caller may start in a minute.", retry_after_seconds=taken.retry_after
        )


def _load(action_id: str) -> ActionRow:
    with services().store.reading() as session:
        row = actions.get(session, action_id)
    if row is None:
        raise NotFound("There is no action with this id.")
    return row


def _target(words: str) -> Target:
    parts = words.split("/")
    if len(parts) != 4 or not all(parts):
        raise BadInput("target: is written cluster/namespace/Kind/name", field="target")
    return Target(*parts)


def _cursor(row: ActionRow) -> str:
    return cursor.encode([row.created_at.isoformat(), row.id])


def _before(words: str) -> tuple[datetime, str]:
    at, action_id = cursor.decode(words, (str, str))
    try:
        return datetime.fromisoformat(str(at)).astimezone(UTC), str(action_id)
    except (ValueError, OverflowError) as error:
        raise BadInput("cursor: is not one of ours; begin again without it", field="cursor") from error
