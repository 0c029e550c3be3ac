"""What the API server refuses about an object: each fault with its field, in the server's words."""

from __future__ import annotations

import re
from typing import Any

import orjson

from demo.kube_errors import cause
from demo.kube_kinds import AUTOSCALER, DEPLOYMENT, STATEFUL_SET, Kind, Obj
from demo.kube_objects import matches

INVALID, REQUIRED, FORBIDDEN = "FieldValueInvalid", "FieldValueRequired", "FieldValueForbidden"
LIMIT = 2**31 - 1
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_STATEFUL_FIELDS = {
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "minReadySeconds",
    "persistentVolumeClaimRetentionPolicy",
}  # fmt: skip


def faults_of(kind: Kind, new: Obj, old: Obj | None) -> list[Obj]:
    """Causes for a 422, empty for a good object. `old` is None on creation."""
    found: list[Obj] = []
    if old is None:
        found += _name(new)
    if kind in (DEPLOYMENT, STATEFUL_SET):
        found += _workload(kind, new, old)
    elif kind is AUTOSCALER:
        found += _autoscaler(new.get("spec") or {})
    return found


def count_fault(value: Any, field: str) -> list[Obj]:
    """A number of replicas must not be negative."""
    if isinstance(value, int) and value < 0:
        return [cause(INVALID, f"Invalid value: {value}: must be greater than or equal to 0", field)]
    return []


def _invalid(value: Any, why: str, field: str) -> Obj:
    return cause(INVALID, f"Invalid value: {orjson.dumps(value).decode()}: {why}", field)


def _name(obj: Obj) -> list[Obj]:
    name = obj["metadata"].get("name", "")
    if not name:
        return [cause(REQUIRED, "Required value: name or generateName is required", "metadata.name")]
    if len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        return [_invalid(name, _SUBDOMAIN_RULE, "metadata.name")]
    return []


def _workload(kind: Kind, new: Obj, old: Obj | None) -> list[Obj]:
    spec = new.get("spec") or {}
    found = count_fault(spec.get("replicas"), "spec.replicas")
    found += _template(spec)
    selector = spec.get("selector")
    if old is None:
        if not selector:
            found.append(cause(REQUIRED, "Required value", "spec.selector"))
    elif kind is DEPLOYMENT and selector != old["spec"].get("selector"):
        found.append(_invalid(selector, "field is immutable", "spec.selector"))
    elif kind is STATEFUL_SET:
        found += _only_some_fields(spec, old["spec"])
    return found


def _only_some_fields(new: Obj, old: Obj) -> list[Obj]:
    changed = {name for name in {*new, *old} if new.get(name) != old.get(name)}
    if changed <= _STATEFUL_FIELDS:
        return []
    fields = (
        "'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
        "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds'"
    )
    return [
        cause(
            FORBIDDEN,
            f"Forbidden: updates to statefulset spec for fields other than {fields} are forbidden",
            "spec",
        )
    ]


def _template(spec: Obj) -> list[Obj]:
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    wanted = (spec.get("selector") or {}).get("matchLabels")
    found: list[Obj] = []
    if wanted and not matches(wanted, labels):
        found.append(
            _invalid(labels, "`selector` does not match template `labels`", "spec.template.metadata.labels")
        )
    containers = (template.get("spec") or {}).get("containers")
    if not containers:
        found.append(cause(REQUIRED, "Required value", "spec.template.spec.containers"))
    for at, container in enumerate(containers or ()):
        found += _container(container, f"spec.template.spec.containers[{at}]")
    return found


def _container(container: Obj, path: str) -> list[Obj]:
    found: list[Obj] = []
    name = container.get("name") or ""
    if not name:
        found.append(cause(REQUIRED, "Required value", f"{path}.name"))
    elif len(name) > 63 or not _LABEL.fullmatch(name):
        found.append(_invalid(name, _LABEL_RULE, f"{path}.name"))
    if not container.get("image"):
        found.append(cause(REQUIRED, "Required value", f"{path}.image"))
    return found


def _autoscaler(spec: Obj) -> list[Obj]:
    low, high = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    found: list[Obj] = []
    if low is not None and low < 1:
        found.append(_invalid(low, "must be greater than or equal to 1", "spec.minReplicas"))
    if high < 1:
        found.append(_invalid(high, "must be greater than 0", "spec.maxReplicas"))
    elif low is not None and high < low:
        found.append(_invalid(high, "must be greater than or equal to `minReplicas`", "spec.maxReplicas"))
    return found
