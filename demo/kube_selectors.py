"""Label and field selectors: parsed once a request, then a test of an object."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from demo.kube_errors import Refusal, bad_request
from demo.kube_kinds import Kind, Obj

Test = Callable[[Obj], bool]
_KEY = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_SET = re.compile(rf"^\s*({_KEY})\s+(in|notin)\s+\(([^()]*)\)\s*$")
_EQUALS = re.compile(rf"^\s*({_KEY})\s*(==|=|!=)\s*([-A-Za-z0-9_.]*)\s*$")
_EXISTS = re.compile(rf"^\s*(!?)\s*({_KEY})\s*$")


def label_test(text: str) -> Test:
    """A test for a labelSelector. Raises the 400 refusal for what cannot be parsed."""
    tests = [_requirement(part) for part in _split(text)]
    return lambda obj: all(test(obj["metadata"].get("labels") or {}) for test in tests)


def _split(text: str) -> list[str]:
    parts, depth, current = [], 0, ""
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += letter
    parts.append(current)
    return [part for part in parts if part.strip()]


def _requirement(part: str) -> Test:
    if found := _SET.match(part):
        key, operator, listed = found.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda labels: key in labels and labels[key] in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUALS.match(part):
        key, operator, value = found.groups()
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _EXISTS.match(part):
        absent, key = found.groups()
        return lambda labels: (key in labels) is not bool(absent)
    raise _unparsable(part)


def _unparsable(part: str) -> Refusal:
    expected = "',', ')' or identifier" if "(" in part else "in, notin, =, ==, !=, gt, lt"
    return bad_request(f"unable to parse requirement: found '', expected: {expected}")


def field_test(kind: Kind, text: str) -> Test:
    """A test for a fieldSelector. Raises the 400 refusal, which names the fields that exist."""
    known = ["metadata.name", *(["metadata.namespace"] if kind.namespaced else []), *kind.fields]
    tests: list[Test] = []
    for part in text.split(","):
        if not part:
            continue
        field, operator, value = _field_parts(part)
        if field not in known:
            listed = ", ".join(f'"{name}"' for name in known)
            raise bad_request(f'"{field}" is not a known field selector: only {listed}')
        tests.append(_field(field, operator, value))
    return lambda obj: all(test(obj) for test in tests)


def _field_parts(part: str) -> tuple[str, str, str]:
    for operator in ("!=", "==", "="):
        field, found, value = part.partition(operator)
        if found:
            return field, operator, value
    raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")


def _field(field: str, operator: str, value: str) -> Test:
    path = field.split(".")
    if operator == "!=":
        return lambda obj: _read(obj, path) != value
    return lambda obj: _read(obj, path) == value


def _read(obj: Obj, path: list[str]) -> str:
    if path == ["source"]:
        path = ["source", "component"]
    node: Any = obj
    for step in path:
        node = node.get(step) if isinstance(node, dict) else None
    if node is None:
        return ""
    return str(node).lower() if isinstance(node, bool) else str(node)


def selector_test(kind: Kind, labels: str, fields: str) -> Test | None:
    """Both selectors as one test, or None when there is nothing to test."""
    tests = []
    if labels:
        tests.append(label_test(labels))
    if fields:
        tests.append(field_test(kind, fields))
    if not tests:
        return None
    return lambda obj: all(test(obj) for test in tests)
