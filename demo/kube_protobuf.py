"""The few bodies that kubectl sends as protobuf: reviews, evictions and scales, read into the JSON shape.

Envelope and field numbers: k8s.io/apimachinery runtime.Unknown, k8s.io/api authorization/v1, policy/v1,
autoscaling/v1 generated.proto.
"""

from __future__ import annotations

from typing import Any

from demo.kube_kinds import Obj

MAGIC = b"k8s\x00"
MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
STRING, NUMBER, STRINGS = "string", "number", "strings"

_META: dict[int, tuple[str, Any]] = {
    1: ("name", STRING), 3: ("namespace", STRING), 5: ("uid", STRING), 6: ("resourceVersion", STRING),
}  # fmt: skip
_ATTRIBUTES: dict[int, tuple[str, Any]] = {
    1: ("namespace", STRING), 2: ("verb", STRING), 3: ("group", STRING), 4: ("version", STRING),
    5: ("resource", STRING), 6: ("subresource", STRING), 7: ("name", STRING),
}  # fmt: skip
_PATH: dict[int, tuple[str, Any]] = {1: ("path", STRING), 2: ("verb", STRING)}
_OPTIONS: dict[int, tuple[str, Any]] = {
    1: ("gracePeriodSeconds", NUMBER), 2: ("preconditions", {1: ("uid", STRING)}), 4: ("propagationPolicy", STRING),
    5: ("dryRun", STRINGS),
}  # fmt: skip
MESSAGES: dict[str, dict[int, tuple[str, Any]]] = {
    "SelfSubjectAccessReview": {
        1: ("metadata", _META),
        2: ("spec", {1: ("resourceAttributes", _ATTRIBUTES), 2: ("nonResourceAttributes", _PATH)}),
    },
    "SelfSubjectRulesReview": {1: ("metadata", _META), 2: ("spec", {1: ("namespace", STRING)})},
    "SelfSubjectReview": {1: ("metadata", _META)},
    "Eviction": {1: ("metadata", _META), 2: ("deleteOptions", _OPTIONS)},
    "DeleteOptions": _OPTIONS,
    "Scale": {1: ("metadata", _META), 2: ("spec", {1: ("replicas", NUMBER)})},
}


class UnknownMessage(Exception):
    """A well-formed body of a kind that is taken only as JSON."""


def decoded(body: bytes) -> Obj:
    """The object in an enveloped body. Raises UnknownMessage for other kinds, ValueError for what is no such body."""
    if not body.startswith(MAGIC):
        raise ValueError("no Kubernetes envelope")
    envelope = _message(
        body[len(MAGIC) :], {1: ("type", {1: ("apiVersion", STRING), 2: ("kind", STRING)}), 2: ("raw", None)}
    )
    kind = envelope.get("type", {}).get("kind", "")
    if kind not in MESSAGES:
        raise UnknownMessage(kind)
    return {**envelope["type"], **_message(envelope.get("raw", b""), MESSAGES[kind])}


def _message(body: bytes, fields: dict[int, tuple[str, Any]]) -> Obj:
    found: Obj = {}
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        number, wire = tag >> 3, tag & 7
        value, at = _value(body, at, wire)
        if number not in fields:
            continue
        name, shape = fields[number]
        if shape == STRINGS:
            found.setdefault(name, []).append(_text(value))
        else:
            found[name] = _shaped(value, shape)
    return found


def _shaped(value: Any, shape: Any) -> Any:
    if shape == STRING:
        return _text(value)
    if shape == NUMBER:
        if not isinstance(value, int):
            raise ValueError("no number")
        return value - (1 << 64) if value >= 1 << 63 else value
    if isinstance(shape, dict):
        if not isinstance(value, bytes):
            raise ValueError("no message")
        return _message(value, shape)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, bytes):
        raise ValueError("no text")
    return value.decode()


def _value(body: bytes, at: int, wire: int) -> tuple[Any, int]:
    if wire == 0:
        return _varint(body, at)
    if wire == 2:
        size, at = _varint(body, at)
        if at + size > len(body):
            raise ValueError("cut short")
        return body[at : at + size], at + size
    if wire in (1, 5):
        end = at + (8 if wire == 1 else 4)
        return body[at:end], end
    raise ValueError(f"wire type {wire}")


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(body) or shift > 63:
            raise ValueError("cut short")
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
