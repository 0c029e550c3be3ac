"""managedFields: which manager set which field last, kept the way the API server keeps it for updates.

FieldsV1 trees: `f:name` for members, `k:{...}` for items of lists that have a key, `.` for the thing itself.
"""

from __future__ import annotations

from typing import Any

import orjson

from demo.kube_kinds import Obj

LIST_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "protocol"),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "podIPs": ("ip",),
}
SERVICE_PORT_KEYS = ("port", "protocol")
ATOMIC = {
    "selector",
    "nodeSelector",
    "metrics",
    "containerStatuses",
    "hostIPs",
    "data",
    "taints",
    "scaleTargetRef",
}
MAPS = {"labels", "annotations", "requests", "limits", "hard", "used"}
UNOWNED = {
    "kind", "apiVersion", "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
    "managedFields", "deletionTimestamp", "deletionGracePeriodSeconds",
}  # fmt: skip

_GONE = object()


def fields_of(obj: Obj) -> Obj:
    """The tree of every field of an object that somebody can own."""
    return changed_fields({}, obj)


def changed_fields(old: Obj, new: Obj) -> Obj:
    """The tree of fields of `new` whose value is not that of `old`."""
    tree: Obj = {}
    for member, value in new.items():
        if member in ("kind", "apiVersion"):
            continue
        before = old.get(member, _GONE)
        if member == "metadata":
            value = {name: field for name, field in value.items() if name not in UNOWNED}
            before = before if isinstance(before, dict) else {}
        sub = _changed(member, before, value)
        if sub is not None and (sub or member != "metadata"):
            tree[f"f:{member}"] = sub
    return tree


def _changed(name: str, before: Any, value: Any) -> Obj | None:
    if before is not _GONE and before == value:
        return None
    if isinstance(value, dict) and value and name not in ATOMIC:
        return _changed_members(name, before if isinstance(before, dict) else {}, value, new=before is _GONE)
    keys = _keys_of(name, value)
    if keys and isinstance(value, list):
        return _changed_items(keys, before if isinstance(before, list) else [], value, new=before is _GONE)
    return {}


def _changed_members(name: str, before: Obj, value: Obj, *, new: bool) -> Obj:
    tree: Obj = {".": {}} if new and name in MAPS else {}
    for member, field in value.items():
        sub = _changed(member, before.get(member, _GONE), field)
        if sub is not None:
            tree[f"f:{member}"] = sub
    return tree


def _keys_of(name: str, value: Any) -> tuple[str, ...]:
    if name == "ports" and isinstance(value, list) and value and "port" in value[0]:
        return SERVICE_PORT_KEYS
    return LIST_KEYS.get(name, ())


def _changed_items(keys: tuple[str, ...], before: list[Any], value: list[Any], *, new: bool) -> Obj:
    olds = {_item_key(keys, item): item for item in before}
    tree: Obj = {".": {}} if new else {}
    for item in value:
        label = _item_key(keys, item)
        sub = _changed_members("", olds.get(label, {}), item, new=False)
        if label not in olds:
            sub = {".": {}, **sub}
        if sub:
            tree[label] = sub
    return tree


def _item_key(keys: tuple[str, ...], item: Any) -> str:
    if not isinstance(item, dict):
        return f"v:{orjson.dumps(item).decode()}"
    shown = {key: item[key] for key in keys if key in item}
    return f"k:{orjson.dumps(shown).decode()}"


def add(tree: Obj, more: Obj) -> Obj:
    """The union of two trees."""
    merged = dict(tree)
    for name, sub in more.items():
        merged[name] = add(merged[name], sub) if name in merged else sub
    return merged


def remove(tree: Obj, taken: Obj) -> Obj:
    """What is left of a tree when the leaves of another are taken out."""
    left: Obj = {}
    for name, sub in tree.items():
        if name not in taken:
            left[name] = sub
            continue
        rest = remove(sub, taken[name])
        if set(rest) - {"."}:
            left[name] = rest
    return left


def owns(entries: list[Obj] | None, *path: str) -> Obj | None:
    """The entry that owns a path such as ("f:spec", "f:replicas"), or None."""
    for entry in entries or ():
        node: Any = entry["fieldsV1"]
        for step in path:
            node = node.get(step) if isinstance(node, dict) else None
        if node is not None:
            return entry
    return None


def record(
    entries: list[Obj] | None,
    tree: Obj,
    *,
    manager: str,
    api_version: str,
    time: str | None,
    subresource: str = "",
) -> list[Obj]:
    """managedFields after `manager` set the fields of `tree`: everybody else loses them."""
    if not tree:
        return list(entries or ())
    kept: list[Obj] = []
    mine: Obj = tree
    for entry in entries or ():
        if _same_manager(entry, manager, api_version, subresource):
            mine = add(entry["fieldsV1"], tree)
            continue
        rest = remove(entry["fieldsV1"], tree)
        if rest:
            kept.append({**entry, "fieldsV1": rest})
    kept.append(entry_for(mine, manager=manager, api_version=api_version, time=time, subresource=subresource))
    return kept


def _same_manager(entry: Obj, manager: str, api_version: str, subresource: str) -> bool:
    return bool(
        entry["manager"] == manager
        and entry["apiVersion"] == api_version
        and entry["operation"] == "Update"
        and entry.get("subresource", "") == subresource
    )


def entry_for(tree: Obj, *, manager: str, api_version: str, time: str | None, subresource: str = "") -> Obj:
    """One entry, its members in the API server's order; entries of the scale subresource carry no time."""
    entry: Obj = {"manager": manager, "operation": "Update", "apiVersion": api_version}
    if time:
        entry["time"] = time
    entry["fieldsType"] = "FieldsV1"
    entry["fieldsV1"] = tree
    if subresource:
        entry["subresource"] = subresource
    return entry


def with_status_entry(
    entries: list[Obj] | None, tree: Obj, *, api_version: str, time: str, manager: str
) -> list[Obj]:
    """Entries with the status entry of a controller renewed (its tree is `tree`, nothing is taken from others)."""
    kept = [entry for entry in entries or () if entry.get("subresource") != "status"]
    kept.append(entry_for(tree, manager=manager, api_version=api_version, time=time, subresource="status"))
    return kept
