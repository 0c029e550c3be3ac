"""Patches over plain JSON: RFC 6902, RFC 7386 and the strategic merge of Kubernetes for the lists that matter.

Sources: RFC 6902 and 7386; community/contributors/devel/sig-api-machinery/strategic-merge-patch.md.
"""

from __future__ import annotations

import copy
from typing import Any

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"

MERGE_KEYS: dict[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
    "conditions": "type",
    "ownerReferences": "uid",
    "addresses": "type",
    "taints": "key",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
MERGED_PRIMITIVES = {"finalizers", "podCIDRs"}


class BadPatch(Exception):
    """The patch cannot be applied: a failed test, or a path that is not there."""


def apply_json_patch(document: Any, operations: Any) -> Any:
    """The document after all operations, or BadPatch; the given document is left as it is."""
    if not isinstance(operations, list):
        raise BadPatch("a JSON patch is a list")
    result = copy.deepcopy(document)
    for operation in operations:
        if not isinstance(operation, dict):
            raise BadPatch("an operation is an object")
        result = _operate(result, operation)
    return result


def _operate(document: Any, operation: dict[str, Any]) -> Any:
    name, path = operation.get("op"), _pointer(operation.get("path"))
    if name in ("add", "replace", "test") and "value" not in operation:
        raise BadPatch("value is missing")
    if name == "test":
        if _find(document, path) != operation["value"]:
            raise BadPatch("test failed")
        return document
    if name == "add":
        return _insert(document, path, copy.deepcopy(operation["value"]))
    if name == "replace":
        _find(document, path)
        return _set(document, path, copy.deepcopy(operation["value"]))
    if name == "remove":
        return _remove(document, path)
    if name in ("move", "copy"):
        source = _pointer(operation.get("from"))
        value = copy.deepcopy(_find(document, source))
        if name == "move":
            document = _remove(document, source)
        return _insert(document, path, value)
    raise BadPatch(f"no such operation: {name}")


def _pointer(text: Any) -> list[str]:
    if text == "":
        return []
    if not isinstance(text, str) or not text.startswith("/"):
        raise BadPatch("path is no JSON pointer")
    return [step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/")]


def _find(document: Any, path: list[str]) -> Any:
    node = document
    for step in path:
        node = node[_index(node, step)] if isinstance(node, list) else _member(node, step)
    return node


def _member(node: Any, step: str) -> Any:
    if not isinstance(node, dict) or step not in node:
        raise BadPatch("path is not there")
    return node[step]


def _index(node: list[Any], step: str, *, end: bool = False) -> int:
    if end and step == "-":
        return len(node)
    if not step.isdigit() or int(step) >= len(node) + end:
        raise BadPatch("index is not there")
    return int(step)


def _insert(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _find(document, path[:-1])
    if isinstance(parent, list):
        parent.insert(_index(parent, path[-1], end=True), value)
    elif isinstance(parent, dict):
        parent[path[-1]] = value
    else:
        raise BadPatch("path is not there")
    return document


def _set(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _find(document, path[:-1])
    parent[_index(parent, path[-1]) if isinstance(parent, list) else path[-1]] = value
    return document


def _remove(document: Any, path: list[str]) -> Any:
    _find(document, path)
    if not path:
        return None
    parent = _find(document, path[:-1])
    del parent[_index(parent, path[-1]) if isinstance(parent, list) else path[-1]]
    return document


def merge(document: Any, patch: Any) -> Any:
    """RFC 7386: null removes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def merge_strategic(document: Any, patch: Any) -> Any:
    """Strategic merge: as RFC 7386, but lists with a merge key are merged item by item, with `$` directives."""
    if not isinstance(patch, dict):
        return patch
    directive = patch.get("$patch")
    if directive == "delete":
        return None
    base = dict(document) if isinstance(document, dict) and directive != "replace" else {}
    for name in _retained(base, patch.get("$retainKeys")):
        del base[name]
    for name, value in patch.items():
        if name.startswith("$"):
            _direct(base, name, value)
        elif value is None:
            base.pop(name, None)
        elif isinstance(value, list):
            base[name] = _merge_list(name, base.get(name), value)
        elif isinstance(value, dict):
            merged = merge_strategic(base.get(name), value)
            if merged is None:
                base.pop(name, None)
            else:
                base[name] = merged
        else:
            base[name] = value
    return base


def _retained(base: dict[str, Any], keep: Any) -> list[str]:
    return [name for name in base if name not in keep] if isinstance(keep, list) else []


def _direct(base: dict[str, Any], name: str, value: Any) -> None:
    directive, _, member = name.partition("/")
    if directive == "$deleteFromPrimitiveList" and isinstance(base.get(member), list):
        base[member] = [one for one in base[member] if one not in value]


def _key_of(name: str, items: list[Any]) -> str | None:
    if name == "ports":
        ports = any(isinstance(item, dict) and "containerPort" in item for item in items)
        return "containerPort" if ports else "port"
    return MERGE_KEYS.get(name)


def _merge_list(name: str, old: Any, patch: list[Any]) -> list[Any]:
    before = old if isinstance(old, list) else []
    if name in MERGED_PRIMITIVES:
        return [*before, *(one for one in patch if one not in before)]
    key = _key_of(name, [*before, *patch])
    if key is None or any(not isinstance(item, dict) for item in patch):
        return patch
    if any(item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if "$patch" not in item]
    result = list(before)
    for item in patch:
        if key not in item:
            raise BadPatch(f"an item of {name} has no {key}")
        place = next((at for at, one in enumerate(result) if one.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            result = [one for one in result if one.get(key) != item[key]]
        elif place is None:
            result.append(merge_strategic({}, item))
        else:
            result[place] = merge_strategic(result[place], item)
    return result
