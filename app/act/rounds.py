"""One round over every action that is not finished, in the process that has the writing account."""

from __future__ import annotations

import logging

from app import clock
from app.act.decide import PLAN_LIFE, plan
from app.act.record import move
from app.act.step import follow, reconcile
from app.config import Config
from app.errors import QuarterdeckError, StoreError
from app.model.action import ActionState
from app.store import actions
from app.store.actions import ActionRow
from app.store.away import Away
from app.store.engine import Store

_S = ActionState
_OPEN = (_S.PLANNED, _S.AWAITING_APPROVAL, _S.APPROVED)

log = logging.getLogger("quarterdeck.act")
_away = Away(log, "actions are not taken further")


def follow_all(store: Store, config: Config) -> None:
    """Take every running action one step further; one that cannot be taken further does not stop the others."""
    waiting = (_S.PLANNING, *_OPEN, _S.EXECUTING, _S.VERIFYING, _S.UNKNOWN)
    try:
        with store.reading() as session:
            rows = actions.in_state(session, *waiting)
    except StoreError as error:
        _away.begin(error)
        return
    _away.over()
    for row in rows:
        try:
            _step(store, config, row)
        except StoreError as error:
            _away.begin(error)
            return
        except QuarterdeckError as error:
            log.warning("action %s could not be taken further: %s", row.id, error)
        except Exception:
            log.exception("action %s could not be taken further", row.id)


def _step(store: Store, config: Config, row: ActionRow) -> None:
    if _is_over(row):
        words = "nobody could plan it in time" if row.state is _S.PLANNING else "nobody confirmed it in time"
        move(store, config, row, [row.state], _S.EXPIRED, what="expire", message=words)
    elif row.state is _S.PLANNING:
        plan(store, config, row.id)
    elif row.state is _S.UNKNOWN:
        reconcile(store, config, row.id)
    elif row.state not in _OPEN:
        follow(store, config, row.id)


def _is_over(row: ActionRow) -> bool:
    """Whether nothing was sent yet and the time for it has passed."""
    if row.state is _S.PLANNING:
        return clock.now() - row.created_at > PLAN_LIFE
    return row.state in _OPEN and row.expires_at is not None and row.expires_at <= clock.now()
