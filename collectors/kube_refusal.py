"""An API server's refusal of an action as one of our errors: causes first, text cut, objects never shown.

Source: reference observed, section 3 (K19 to K24), which was recorded on a real cluster.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from app.errors import ActionConflict, ActionError, ActionFailed, ActionRefused, OutcomeUnknown

_LONGEST = 300
_OBJECT = re.compile(r'"?\\*\{\\*".*', re.DOTALL)
_WHO_CANNOT = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)" in API group "(?P<group>[^"]*)"'
)


def refusal_of(code: int, raw: bytes, *, writes: bool) -> ActionError:
    """What to raise for an answer that is not a success. `writes`: the request could have changed something."""
    status = _status(raw)
    said = words(status, raw)
    if code == 401:
        return ActionRefused("Kubernetes refused the token: renew it (401)")
    if code == 403:
        return ActionRefused(_forbidden(status, said))
    if code == 404:
        return ActionRefused(_gone(status, said))
    if code == 409:
        return ActionConflict(f"changed since you looked: review again ({said})")
    if code == 429 and not _causes(status):
        return ActionFailed(f"nothing was written: Kubernetes is overloaded, try again in a second ({said})")
    if code in (400, 405, 406, 413, 415, 422, 429):
        return ActionRefused(f"Kubernetes does not accept it ({code}): {said}")
    if writes:
        return OutcomeUnknown(f"the write was sent and the answer says nothing about it ({code}: {said})")
    return ActionFailed(f"nothing was written: Kubernetes could not answer ({code}: {said})")


def words(status: dict[str, Any], raw: bytes) -> str:
    """The server's words: field by field from the causes, otherwise its message; cut, one line, no objects."""
    causes = [f"{cause.get('field', '')} {cause.get('message', '')}".strip() for cause in _causes(status)]
    text = "; ".join(causes) or str(status.get("message") or "") or raw[:1_000].decode("utf-8", "replace")
    return _cut(text)


def reading_failed(error: BaseException) -> str:
    """The innermost reason of a failed call in a few printable words."""
    inner = error
    while isinstance(deeper := getattr(inner, "reason", None) or inner.__cause__, BaseException):
        inner = deeper
    return _cut(str(inner) or type(inner).__name__)


def _status(raw: bytes) -> dict[str, Any]:
    """The Status in a body, whatever its Content-Type said; empty for text."""
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _causes(status: dict[str, Any]) -> list[dict[str, Any]]:
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    return [cause for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []


def _forbidden(status: dict[str, Any], said: str) -> str:
    if _causes(status) or "exceeded quota" in said or "denied" in said:
        return f"the cluster does not allow it: {said}"
    match = _WHO_CANNOT.search(str(status.get("message") or ""))
    if match is None:
        return f"the cluster does not allow it: {said}"
    group = match["group"] or '""'
    rule = f"apiGroups: [{group}], resources: [{match['resource']}], verbs: [{match['verb']}]"
    return _cut(
        f"{match['user']} may not {match['verb']} {match['resource']}: a Role with {rule} would grant it"
    )


def _gone(status: dict[str, Any], said: str) -> str:
    details = status.get("details")
    if not isinstance(details, dict):
        return f"this API is not installed in the cluster ({said})"
    return f"it is gone: {said}"


def _cut(text: str) -> str:
    """Decoding errors embed the whole object, environment included (K24): everything from its brace on goes."""
    shown = _OBJECT.sub("(object left out)", text)
    line = "".join(c if c.isprintable() else " " for c in shown).strip()
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
