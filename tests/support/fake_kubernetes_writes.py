"""The part of a Kubernetes API that actions use, as a small real server: one workload with its scale.

It keeps resourceVersion, generation and replicas; refusals are recorded answers, replayed on demand. A second
hand (`touch`, `set_replicas`) changes the object as somebody else would.
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from tests.support.http_fake import HttpFake, Reply, Request

RECORDED = Path(__file__).resolve().parents[1] / "recorded" / "actions"
_SCALE = "/scale"


def recording(name: str) -> dict[str, Any]:
    return json.loads((RECORDED / f"{name}.json").read_text())


def body_of(name: str) -> dict[str, Any]:
    return recording(name)["body"]


def raw_of(name: str) -> bytes:
    found = recording(name)
    return found["text"].encode() if "text" in found else json.dumps(found["body"]).encode()


class FakeKubernetesWrites:
    """`says(when, recording)` answers requests whose "METHOD path" holds `when` with a recorded refusal."""

    def __init__(self, name: str = "checkout") -> None:
        self.live = deepcopy(body_of("rollback/1_before_deployment_checkout"))
        self.name = name
        self.version = 1_000
        self.allowed = True
        self.autoscalers: list[dict[str, Any]] = []
        self.quotas: list[dict[str, Any]] = []
        self.pods: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        self.before_write: list[Any] = []  # called, one per write, just before it is looked at
        self.lose_answers = 0  # writes that take effect but are never answered
        self.manager = ""
        self._says: list[tuple[str, str, int]] = []
        self.http = HttpFake(self._answer)
        self._settle(self.live["spec"]["replicas"])

    @property
    def replicas(self) -> int:
        return self.live["spec"]["replicas"]

    @property
    def writes(self) -> list[Request]:
        """Real writes that reached the server, dry runs aside."""
        return [r for r in self.http.requests if r.method == "PUT" and "dryRun" not in r.params]

    def says(self, when: str, name: str, *, times: int = 1_000) -> None:
        self._says.append((when, name, times))

    def hushes(self) -> None:
        self._says.clear()

    def touch(self) -> None:
        """Only status moved: the resourceVersion is a new one."""
        self.version += 1

    def set_replicas(self, count: int, manager: str) -> None:
        """Somebody sets the number."""
        self.version += 1
        self.live["spec"]["replicas"] = count
        self.live["metadata"]["generation"] += 1
        self._own(manager)

    def replace(self) -> None:
        """Another object of the same name."""
        self.version += 1
        self.live["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"

    def roll_out(self) -> None:
        """The controllers do their work."""
        self._settle(self.replicas)

    def kubeconfig(self, directory: Path) -> Path:
        path = directory / "kubeconfig.yaml"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": self.http.url}}],
            "users": [{"name": "u", "user": {"token": "secret-token"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def close(self) -> None:
        self.http.down()

    def _settle(self, count: int) -> None:
        self.version += 1
        status = self.live["status"]
        for field in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"):
            status[field] = count
        status.pop("unavailableReplicas", None)
        status["observedGeneration"] = self.live["metadata"]["generation"]

    def _own(self, manager: str) -> None:
        entries = self.live["metadata"].setdefault("managedFields", [])
        kept = [entry for entry in entries if entry.get("subresource") != "scale"]
        for entry in kept:
            entry.get("fieldsV1", {}).get("f:spec", {}).pop("f:replicas", None)
        fields = {"f:spec": {"f:replicas": {}}}
        mine = {"manager": manager, "operation": "Update", "subresource": "scale", "fieldsV1": fields}
        self.live["metadata"]["managedFields"] = [*kept, mine]

    def _answer(self, request: Request) -> Reply:
        for i, (when, name, times) in enumerate(self._says):
            if when in f"{request.method} {request.path}?{request.params}" and times:
                self._says[i] = (when, name, times - 1)
                return Reply(recording(name)["status"], raw_of(name))
        if request.method == "POST":
            body = json.loads(request.body)
            return _json({**body, "status": {"allowed": self.allowed}}, 201)
        if request.method == "PUT":
            return self._put(request)
        return self._get(request)

    def _get(self, request: Request) -> Reply:
        for word, items in (
            ("horizontalpodautoscalers", self.autoscalers),
            ("resourcequotas", self.quotas),
            ("pods", self.pods),
            ("events", self.events),
        ):
            if request.path.endswith(f"/{word}"):
                return _json({"kind": "List", "items": items, "metadata": {}})
        if request.path.endswith(f"/deployments/{self.name}{_SCALE}"):
            return _json(self._scale())
        if request.path.endswith(f"/deployments/{self.name}"):
            self.live["metadata"]["resourceVersion"] = str(self.version)
            return _json(self.live)
        return Reply(404, raw_of("scale/err404"))

    def _put(self, request: Request) -> Reply:
        dry = request.params.get("dryRun") == "All"
        if not dry and self.before_write:
            self.before_write.pop(0)()
        asked = json.loads(request.body)
        if asked["metadata"]["resourceVersion"] != str(self.version):
            return Reply(409, raw_of("scale/err409_put_stale_rv"))
        if dry:
            return _json(self._scale(asked["spec"]["replicas"]), warnings=self.warnings)
        self.set_replicas(asked["spec"]["replicas"], request.params["fieldManager"])
        if self.lose_answers:
            self.lose_answers -= 1
            return Reply(504, raw_of("outage/etcd_stalled_patch_timeout5s"))
        return _json(self._scale())

    def _scale(self, count: int | None = None) -> dict[str, Any]:
        scale = deepcopy(body_of("scale/get_deployment_scale"))
        meta = self.live["metadata"]
        scale["metadata"] |= {"name": self.name, "uid": meta["uid"], "resourceVersion": str(self.version)}
        number = self.replicas if count is None else count
        scale["spec"] = {"replicas": number} if number else {}
        return scale


def _json(body: dict[str, Any], status: int = 200, *, warnings: list[str] | None = None) -> Reply:
    headers = {"Content-Type": "application/json"}
    if warnings:
        headers["Warning"] = f'299 - "{warnings[0]}"'
    return Reply(status, json.dumps(body).encode(), headers)
