"""Writing to a Kubernetes API server: the few calls that actions need, through the official client.

Every write names itself (`fieldManager`, User-Agent with the action's id), has timeouts, and every refusal is
one of our errors with a sentence (reference: observed, errors of the API server). A write without an answer is
`OutcomeUnknown`, never a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import urllib3

from app.config import KubeAccess, Kubernetes
from app.errors import ActionConflict, ActionFailed, ActionRefused, OutcomeUnknown, SourceError
from collectors.kube_connect import connect
from collectors.kube_refusal import reading_failed, refusal_of

MANAGER = "quarterdeck"
TIMEOUT = (3.0, 10.0)
"""Seconds to connect and to wait for an answer."""

PLURAL = {"Deployment": "deployments", "StatefulSet": "statefulsets"}
_MAX_ANSWER = 16 * 1024 * 1024
Obj = dict[str, Any]


class KubeWriter:
    """One API server with credentials that may write. Made per action, closed after each step."""

    def __init__(self, access: Kubernetes | KubeAccess, *, action: str) -> None:
        agent = f"{MANAGER} (action {action})"
        try:
            self._client = connect(access, agent).api
        except SourceError as error:
            raise ActionFailed(f"nothing was written: {error}") from error
        self.warnings: list[str] = []

    def workload(self, namespace: str, kind: str, name: str) -> Obj:
        """The live object. Raises ActionRefused when it is gone or may not be read."""
        return self._read(_path(namespace, kind, name))

    def scale(self, namespace: str, kind: str, name: str) -> Obj:
        """The live Scale; a missing spec.replicas means 0."""
        return self._read(f"{_path(namespace, kind, name)}/scale")

    def put_scale(self, namespace: str, kind: str, name: str, body: Obj, *, dry_run: bool) -> Obj:
        """PUT a Scale (guarded by its resourceVersion); the answer.

        Raises ActionConflict on 409, ActionRefused for 401, 403, 404 and what the server finds invalid,
        OutcomeUnknown when a real write got no answer, ActionFailed when a dry run got none.
        """
        params = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
        if dry_run:
            params["dryRun"] = "All"
        path = f"{_path(namespace, kind, name)}/scale"
        return self._call("PUT", path, params, body, writes=not dry_run)

    def may(
        self, namespace: str, verb: str, group: str, resource: str, subresource: str = ""
    ) -> tuple[bool, str]:
        """(whether this account may, the server's reason): a SelfSubjectAccessReview."""
        asked = {
            "namespace": namespace,
            "verb": verb,
            "group": group,
            "resource": resource,
            "subresource": subresource,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        status = self._call("POST", path, {}, review, writes=False).get("status") or {}
        return bool(status.get("allowed")), str(status.get("reason") or "")

    def autoscalers(self, namespace: str) -> list[Obj]:
        """HorizontalPodAutoscalers (autoscaling/v2) of a namespace."""
        return self._list(f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers", {})

    def quotas(self, namespace: str) -> list[Obj]:
        """ResourceQuotas of a namespace."""
        return self._list(f"/api/v1/namespaces/{namespace}/resourcequotas", {})

    def pods(self, namespace: str, selector: str) -> list[Obj]:
        """Pods by label selector."""
        return self._list(f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": selector})

    def events(self, namespace: str, reason: str) -> list[Obj]:
        """Events of one reason."""
        return self._list(f"/api/v1/namespaces/{namespace}/events", {"fieldSelector": f"reason={reason}"})

    def close(self) -> None:
        """Free the connections."""
        self._client.close()

    def _read(self, path: str) -> Obj:
        return self._call("GET", path, {}, None, writes=False)

    def _list(self, path: str, params: Mapping[str, str]) -> list[Obj]:
        answer = self._call("GET", path, {"limit": "500", **params}, None, writes=False)
        items = answer.get("items")
        return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []

    def _call(
        self, method: str, path: str, params: Mapping[str, str], body: Obj | None, *, writes: bool
    ) -> Obj:
        request = self._client.param_serialize(
            method=method,
            resource_path=path,
            query_params=list(params.items()),
            header_params={"Accept": "application/json", "Content-Type": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = self._client.call_api(*request, _request_timeout=TIMEOUT).response
            raw = response.read(_MAX_ANSWER)
            code, headers = int(response.status), response.headers
            response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _lost(error, writes=writes) from error
        except (
            Exception
        ) as error:  # the client wraps TLS faults and failing credential plugins in its own ways
            raise ActionFailed(f"nothing was written: {reading_failed(error)}") from error
        self.warnings += _warnings(headers)
        if code >= 300:
            raise refusal_of(code, raw, writes=writes)
        return _decoded(raw, writes=writes)


def _path(namespace: str, kind: str, name: str) -> str:
    plural = PLURAL.get(kind)
    if plural is None:
        raise ActionRefused(f"a {kind} has no scale: only Deployments and StatefulSets have one")
    return f"/apis/apps/v1/namespaces/{_word(namespace)}/{plural}/{_word(name)}"


def _word(name: str) -> str:
    """A name as it stands in a path; Kubernetes' names never need quoting, so anything else is refused."""
    if not name or not all(c.isascii() and (c.isalnum() or c in "-.") for c in name) or ".." in name:
        raise ActionRefused(f"{name[:60]!r} is not a name that Kubernetes knows")
    return name


def _lost(error: Exception, *, writes: bool) -> Exception:
    never_sent = isinstance(
        error, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    )
    reason = getattr(error, "reason", None)
    never_sent = never_sent or isinstance(
        reason, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    )
    if writes and not never_sent:
        return OutcomeUnknown(f"the write was sent and no answer came ({reading_failed(error)})")
    return ActionFailed(f"nothing was written: Kubernetes cannot be asked ({reading_failed(error)})")


def _decoded(raw: bytes, *, writes: bool) -> Obj:
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        lost = OutcomeUnknown if writes else ActionFailed
        raise lost("Kubernetes answered something that is not JSON") from error
    if not isinstance(answer, dict):
        raise ActionConflict("Kubernetes answered something that is no object: review again")
    return answer


def _warnings(headers: Any) -> list[str]:
    """The sentences of `Warning: 299 - "…"` headers (observed K25)."""
    values = headers.getlist("Warning") if hasattr(headers, "getlist") else []
    return [value.split('"', 1)[1].rsplit('"', 1)[0][:300] for value in values if value.count('"') >= 2]
