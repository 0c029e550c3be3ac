"""Refusals as the API server words them: `Status` objects, shaped like the recorded ones."""

from __future__ import annotations

from typing import Any

import orjson

from demo.kube_kinds import Kind, Obj

CONFLICT = "the object has been modified; please apply your changes to the latest version and try again"
CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
    "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
    "modified, or deleted between the time the first chunk was returned and now may show up in the list."
)
MEDIA_TYPES = (
    "application/json, application/yaml, application/vnd.kubernetes.protobuf, "
    "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
)


class Refusal(Exception):
    """An answer that is not success; `body` is the Status object, `text` a plain answer instead of it."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Obj | None = None,
        *,
        meta: Obj | None = None,
        retry_after: int | None = None,
        text: str | None = None,
    ) -> None:
        self.code = code
        self.retry_after = retry_after
        self.text = text
        self.body = status(code, reason, message, details, meta)
        super().__init__(message)


def status(code: int, reason: str, message: str, details: Obj | None = None, meta: Obj | None = None) -> Obj:
    """A failed Status object, fields in the API server's order; `details` may be an empty object."""
    body: Obj = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": meta or {},
        "status": "Failure",
        "message": message,
        "reason": reason,
    }
    if details is not None:
        body["details"] = details
    body["code"] = code
    return body


def named(kind: Kind, name: str = "") -> Obj:
    """`details` that name an object: empty members are left out."""
    members = {"name": name, "group": kind.group, "kind": kind.plural}
    return {member: value for member, value in members.items() if value}


def not_found(kind: Kind, name: str) -> Refusal:
    """404 for one object."""
    return Refusal(404, "NotFound", f'{kind.resource} "{name}" not found', named(kind, name))


def no_resource() -> Refusal:
    """404 for a resource the group does not have."""
    return Refusal(404, "NotFound", "the server could not find the requested resource", {})


def no_page() -> Refusal:
    """404 for a group that is not there: text, no Status."""
    return Refusal(404, "NotFound", "404 page not found", text="404 page not found\n")


def unauthorized() -> Refusal:
    """401: the token is not one of ours."""
    return Refusal(401, "Unauthorized", "Unauthorized")


def forbidden(user: str, verb: str, kind: Kind, *, subresource: str, namespace: str, name: str) -> Refusal:
    """403 by role: names user, verb, resource and namespace."""
    what = f"{kind.plural}/{subresource}" if subresource else kind.plural
    subject = f'{kind.resource} "{name}" is forbidden' if name else f"{kind.resource} is forbidden"
    where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
    message = f'{subject}: User "{user}" cannot {verb} resource "{what}" in API group "{kind.group}"{where}'
    return Refusal(403, "Forbidden", message, named(kind, name))


def forbidden_path(user: str, verb: str, path: str) -> Refusal:
    """403 for a path that is no resource (the recorded server's wording for non-resource rules)."""
    return Refusal(403, "Forbidden", f'forbidden: User "{user}" cannot {verb} path "{path}"', {})


def bad_request(message: str) -> Refusal:
    """400: the request cannot be read."""
    return Refusal(400, "BadRequest", message)


def wrong_method() -> Refusal:
    """405."""
    return Refusal(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}
    )


def not_acceptable() -> Refusal:
    """406: none of the media types asked for."""
    message = f"406: Not Acceptable\n\nAvailable representations: {MEDIA_TYPES}"
    return Refusal(406, "NotAcceptable", message, {})


def unsupported_media_type() -> Refusal:
    """415: no patch type."""
    return Refusal(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def conflict(kind: Kind, name: str, why: str = CONFLICT) -> Refusal:
    """409: resourceVersion or uid is not the present one."""
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return Refusal(409, "Conflict", message, named(kind, name))


def already_exists(kind: Kind, name: str) -> Refusal:
    """409: create of a name that is taken."""
    return Refusal(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', named(kind, name))


def expired(message: str, *, fresh: str | None = None) -> Refusal:
    """410: the position is older than the history kept; `fresh` is an inconsistent continue token."""
    return Refusal(410, "Expired", message, meta={"continue": fresh} if fresh else None)


def rejected_patch() -> Refusal:
    """422 for a JSON patch that does not apply: details stay empty."""
    message = "the server rejected our request due to an error in our request"
    return Refusal(422, "Invalid", message, {})


def too_large_version(asked: int, current: int) -> Refusal:
    """504 for a list at a position of the future."""
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return Refusal(504, "Timeout", message, details, retry_after=1)


def internal_error() -> Refusal:
    """500: a fault of the simulator itself."""
    return Refusal(500, "InternalError", "Internal error occurred: the simulated API server failed", {})


def disruption_budget(budget: str, needs: int, has: int) -> Refusal:
    """429 of an eviction that a PodDisruptionBudget forbids: no Retry-After."""
    cause = f"The disruption budget {budget} needs {needs} healthy pods and has {has} currently"
    details = {"causes": [{"reason": "DisruptionBudget", "message": cause}]}
    return Refusal(
        429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.", details
    )


def cause(reason: str, message: str, field: str) -> Obj:
    """One entry of `details.causes`."""
    return {"reason": reason, "message": message, "field": field}


def invalid(title: str, name: str, causes: list[Obj], details: Obj) -> Refusal:
    """422: every field that is wrong, in the message and as causes. `details` names the object."""
    words = [f"{one['field']}: {one['message']}" for one in causes]
    text = words[0] if len(words) == 1 else f"[{', '.join(words)}]"
    return Refusal(422, "Invalid", f'{title} "{name}" is invalid: {text}', {**details, "causes": causes})


def invalid_object(kind: Kind, name: str, causes: list[Obj]) -> Refusal:
    """422 for an object of a kind."""
    details = {"name": name, "group": kind.group, "kind": kind.kind}
    return invalid(kind.title, name, causes, {member: value for member, value in details.items() if value})


def bad_dry_run(options: str, value: Any) -> Refusal:
    """422: only `All` is a dry run."""
    message = f'Unsupported value: {orjson.dumps(value).decode()}: supported values: "All"'
    causes = [cause("FieldValueNotSupported", message, "dryRun")]
    return invalid(f"{options}.meta.k8s.io", "", causes, {"group": "meta.k8s.io", "kind": options})


def undecodable_patch(patched: bytes, why: str) -> Refusal:
    """422 of a patch whose result is not the kind's shape: the whole object is in the message, as recorded."""
    message = f"Invalid value: {orjson.dumps(patched.decode()).decode()}: {why}"
    causes = [cause("FieldValueInvalid", message, "patch")]
    return invalid("", "", causes, {})
