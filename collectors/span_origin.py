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
_MOST_KEPT = 8192  # bytes of a resource worth remembering
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


def proto_origin(resource: bytes) -> Origin:
    """Of an undecoded protobuf Resource."""
    return _of_proto(resource) if len(resource) <= _MOST_KEPT else _of_proto.__wrapped__(resource)


def json_origin(attributes: bytes) -> Origin:
    """Of the JSON text of a resource's attribute list."""
    return _of_json(attributes) if len(attributes) <= _MOST_KEPT else _of_json.__wrapped__(attributes)


@lru_cache(maxsize=4096)  # senders repeat their resource in every body
def _of_proto(resource: bytes) -> Origin:
    return origin_of(resource_attributes(resource))


@lru_cache(maxsize=4096)
def _of_json(attributes: bytes) -> Origin:
    return origin_of(json_attributes(msgspec.Raw(attributes), None))


def origin_of(found: dict[str, str]) -> Origin:
    """Of the attributes of a resource as text."""
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
