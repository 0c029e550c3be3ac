"""Which fields the kinds that people edit have, and of what type: enough to find a misspelt or mistyped one.

A schema is a dict of members; a member is a type name, a dict (an object), a one-element list (a list of that)
or `ANY`. Kinds without a schema are taken as they come.
"""

from __future__ import annotations

from typing import Any

from demo.kube_kinds import Obj

ANY = "any"
STRING, INT, BOOL, MAP, INT_OR_STRING = "string", "int32", "bool", "map", "intOrString"

_METADATA: Obj = {
    "name": STRING, "generateName": STRING, "namespace": STRING, "selfLink": STRING, "uid": STRING,
    "resourceVersion": STRING, "generation": INT, "creationTimestamp": ANY, "deletionTimestamp": ANY,
    "deletionGracePeriodSeconds": INT, "labels": MAP, "annotations": MAP, "ownerReferences": ANY, "finalizers": ANY,
    "managedFields": ANY,
}  # fmt: skip
_SELECTOR: Obj = {"matchLabels": MAP, "matchExpressions": ANY}
_PROBE: Obj = {
    "httpGet": ANY, "tcpSocket": ANY, "exec": ANY, "grpc": ANY, "initialDelaySeconds": INT, "timeoutSeconds": INT,
    "periodSeconds": INT, "successThreshold": INT, "failureThreshold": INT, "terminationGracePeriodSeconds": INT,
}  # fmt: skip
_CONTAINER: Obj = {
    "name": STRING, "image": STRING, "command": ANY, "args": ANY, "workingDir": STRING,
    "ports": [{"name": STRING, "containerPort": INT, "protocol": STRING, "hostPort": INT, "hostIP": STRING}],
    "env": [{"name": STRING, "value": STRING, "valueFrom": ANY}], "envFrom": ANY,
    "resources": {"limits": ANY, "requests": ANY, "claims": ANY}, "resizePolicy": ANY, "restartPolicy": STRING,
    "volumeMounts": ANY, "volumeDevices": ANY, "livenessProbe": _PROBE, "readinessProbe": _PROBE,
    "startupProbe": _PROBE, "lifecycle": ANY, "terminationMessagePath": STRING, "terminationMessagePolicy": STRING,
    "imagePullPolicy": STRING, "securityContext": ANY, "stdin": BOOL, "stdinOnce": BOOL, "tty": BOOL,
}  # fmt: skip
_POD_SPEC: Obj = {
    "volumes": ANY, "initContainers": [_CONTAINER], "containers": [_CONTAINER], "ephemeralContainers": ANY,
    "restartPolicy": STRING, "terminationGracePeriodSeconds": INT, "activeDeadlineSeconds": INT,
    "dnsPolicy": STRING, "nodeSelector": MAP, "serviceAccountName": STRING, "serviceAccount": STRING,
    "automountServiceAccountToken": BOOL, "nodeName": STRING, "hostNetwork": BOOL, "hostPID": BOOL, "hostIPC": BOOL,
    "shareProcessNamespace": BOOL, "securityContext": ANY, "imagePullSecrets": ANY, "hostname": STRING,
    "subdomain": STRING, "affinity": ANY, "schedulerName": STRING, "tolerations": ANY, "hostAliases": ANY,
    "priorityClassName": STRING, "priority": INT, "dnsConfig": ANY, "readinessGates": ANY, "runtimeClassName": STRING,
    "enableServiceLinks": BOOL, "preemptionPolicy": STRING, "overhead": ANY, "topologySpreadConstraints": ANY,
    "setHostnameAsFQDN": BOOL, "os": ANY, "hostUsers": BOOL, "schedulingGates": ANY, "resourceClaims": ANY,
    "resources": ANY,
}  # fmt: skip
_TEMPLATE: Obj = {"metadata": _METADATA, "spec": _POD_SPEC}
_ROLLING: Obj = {"maxSurge": INT_OR_STRING, "maxUnavailable": INT_OR_STRING, "partition": INT}


def _top(spec: Obj) -> Obj:
    return {"kind": STRING, "apiVersion": STRING, "metadata": _METADATA, "spec": spec, "status": ANY}


SCHEMAS: dict[str, Obj] = {
    "Scale": _top({"replicas": INT}),
    "Deployment": _top(
        {
            "replicas": INT,
            "selector": _SELECTOR,
            "template": _TEMPLATE,
            "minReadySeconds": INT,
            "strategy": {"type": STRING, "rollingUpdate": _ROLLING},
            "revisionHistoryLimit": INT,
            "paused": BOOL,
            "progressDeadlineSeconds": INT,
        }
    ),
    "ReplicaSet": _top(
        {"replicas": INT, "minReadySeconds": INT, "selector": _SELECTOR, "template": _TEMPLATE}
    ),
    "StatefulSet": _top(
        {
            "replicas": INT,
            "selector": _SELECTOR,
            "template": _TEMPLATE,
            "volumeClaimTemplates": ANY,
            "serviceName": STRING,
            "podManagementPolicy": STRING,
            "updateStrategy": {"type": STRING, "rollingUpdate": _ROLLING},
            "revisionHistoryLimit": INT,
            "minReadySeconds": INT,
            "persistentVolumeClaimRetentionPolicy": ANY,
            "ordinals": ANY,
        }
    ),
    "HorizontalPodAutoscaler": _top(
        {
            "scaleTargetRef": {"kind": STRING, "name": STRING, "apiVersion": STRING},
            "minReplicas": INT,
            "maxReplicas": INT,
            "metrics": ANY,
            "behavior": ANY,
        }
    ),
}


class Mistyped(Exception):
    """A value is not of its field's type; the text is the decoder's."""


def checked(kind: str, obj: Obj) -> tuple[Obj, list[str]]:
    """The object without unknown fields, and their paths. Raises Mistyped for a value of another type."""
    schema = SCHEMAS.get(kind)
    if schema is None:
        return obj, []
    unknown: list[str] = []
    return _object(kind, schema, obj, "", unknown), unknown


def _object(owner: str, schema: Obj, value: Any, path: str, unknown: list[str]) -> Any:
    if not isinstance(value, dict):
        raise Mistyped(_wrong(value, owner, path, "object"))
    kept: Obj = {}
    for name, member in value.items():
        where = f"{path}.{name}" if path else name
        if name not in schema:
            unknown.append(where)
        elif member is not None:  # null is absent: Go clients send `creationTimestamp: null` in templates
            kept[name] = _value(owner, schema[name], member, where, unknown)
    return kept


def _value(owner: str, schema: Any, value: Any, path: str, unknown: list[str]) -> Any:
    if isinstance(schema, dict):
        return _object(owner, schema, value, path, unknown)
    if isinstance(schema, list):
        if not isinstance(value, list):
            raise Mistyped(_wrong(value, owner, path, "slice"))
        return [_value(owner, schema[0], one, f"{path}[{at}]", unknown) for at, one in enumerate(value)]
    if not _fits(schema, value):
        raise Mistyped(_wrong(value, owner, path, schema))
    return value


def _fits(schema: str, value: Any) -> bool:
    if schema == STRING:
        return isinstance(value, str)
    if schema == INT:
        return isinstance(value, int) and not isinstance(value, bool)
    if schema == BOOL:
        return isinstance(value, bool)
    if schema == MAP:
        return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
    if schema == INT_OR_STRING:
        return isinstance(value, (int, str)) and not isinstance(value, bool)
    return True


def _wrong(value: Any, owner: str, path: str, wanted: str) -> str:
    given = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    struct = f"{owner}Spec" if path.startswith("spec") else owner
    found = given.get(type(value), "null")
    return f"json: cannot unmarshal {found} into Go struct field {struct}.{path} of type {wanted}"
