"""Who sent spans: the service, version and place that a resource tells of.

Attribute names follow the semantic conventions 1.44 (service.*, k8s.*).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import msgspec

from app.model.fleet import Identity
from collectors.otlp_wire import json_attributes, resource_attributes

_NAME = 512
_WORKLOADS = ("deployment", "statefulset", "daemonset", "cronjob", "job", "replicaset")


@dataclass(frozen=True, slots=True)
class Origin:
    """Who sent spans, from their resource. No service name = None: such spans have no place on a map."""

    service: Identity | None
    version: str
    attributes: tuple[tuple[str, str], ...]

    def number(self, key: str) -> float | None:
        """A resource attribute as a number in (0, 1], if it is one."""
        return ratio(dict(self.attributes).get(key, ""))


def ratio(text: str) -> float | None:
    """A sampling ratio in (0, 1], or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 1e-9 <= value <= 1 else None


@lru_cache(maxsize=4096)
def proto_origin(resource: bytes) -> Origin:
    """Of an undecoded protobuf Resource; senders repeat theirs in every body."""
    return _origin(resource_attributes(resource))


@lru_cache(maxsize=4096)
def json_origin(attributes: bytes) -> Origin:
    """Of the JSON text of a resource's attribute list."""
    return _origin(json_attributes(msgspec.Raw(attributes), None))


def _origin(found: dict[str, str]) -> Origin:
    name = found.get("service.name", "")[:_NAME]
    workload = next((found[key] for kind in _WORKLOADS if (key := f"k8s.{kind}.name") in found), "")
    service = Identity(
        name=name,
        namespace=(found.get("k8s.namespace.name") or found.get("service.namespace", ""))[:_NAME],
        workload=workload[:_NAME],
        pod=found.get("k8s.pod.name", "")[:_NAME],
        pod_uid=found.get("k8s.pod.uid", "")[:_NAME],
    )
    small = tuple((key, text) for key, text in found.items() if len(text) <= 32)
    return Origin(service if name else None, found.get("service.version", "")[:_NAME], small)
