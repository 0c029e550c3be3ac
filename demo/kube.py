"""The Kubernetes API of the simulated cluster over HTTP and, on the same port, HTTPS.

`serve` starts it on a thread; paths are taken apart here, everything else is done by the modules beside it.
"""

from __future__ import annotations

import logging
from typing import Any

from demo import kube_discovery as discovery
from demo import kube_errors as errors
from demo import kube_read, kube_remove, kube_watch, kube_write
from demo.cluster import Cluster
from demo.kube_access import Access, Wish
from demo.kube_errors import Refusal
from demo.kube_kinds import BY_RESOURCE, GROUP_VERSIONS, POD, REVIEWS, Kind
from demo.kube_request import (
    AS_DISCOVERY,
    PLAIN,
    Answer,
    Request,
    Target,
    answer,
    refused,
    wanted_form,
)
from demo.kube_server import Server

log = logging.getLogger("quarterdeck.demo")
_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "POST": "create"}
_READY_CHECKS = (
    "ping",
    "log",
    "informer-sync",
    "poststarthook/start-apiserver-admission-initializer",
    "shutdown",
)


class Api:
    """Answers requests about one cluster."""

    def __init__(self, cluster: Cluster, access: Access) -> None:
        self.cluster = cluster
        self.access = access

    def respond(self, request_of: Any) -> Answer:
        """The answer to a request; `request_of(user)` makes it once the user is known. Refusals become answers."""
        try:
            request: Request = request_of(self.access.user)
            return self._route(request)
        except Refusal as refusal:
            return refused(refusal)
        except Exception:
            log.exception("a request to the simulated API failed")
            return refused(errors.internal_error())

    def _route(self, request: Request) -> Answer:
        steps = [step for step in request.path.split("/") if step]
        if len(steps) >= 3 and steps[0] == "api" and steps[1] == "v1":
            return self._resource(request, "", "v1", steps[2:])
        if len(steps) >= 4 and steps[0] == "apis":
            return self._resource(request, steps[1], steps[2], steps[3:])
        if not self.access.may_see_path(request.user, request.path):
            raise errors.forbidden_path(request.user.name, request.method.lower(), request.path)
        if request.method != "GET":
            raise errors.wrong_method()
        return self._about(request, steps)

    def _about(self, request: Request, steps: list[str]) -> Answer:
        """Health, version, discovery, OpenAPI."""
        head = steps[0] if steps else ""
        if head in ("livez", "readyz", "healthz"):
            return self._health(request, head)
        if head == "version":
            return answer(discovery.VERSION)
        if head in ("api", "apis"):
            return self._discover(request, steps)
        if steps[:2] == ["openapi", "v3"]:
            return self._openapi(steps[2:])
        if not steps:
            return answer(
                {"paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/readyz", "/version"]}
            )
        raise errors.no_page()

    def _health(self, request: Request, name: str) -> Answer:
        if "verbose" not in request.query:
            return Answer(body=b"ok", media_type=PLAIN)
        lines = [f"[+]{check} ok" for check in _READY_CHECKS]
        return Answer(body="\n".join([*lines, f"{name} check passed", ""]).encode(), media_type=PLAIN)

    def _discover(self, request: Request, steps: list[str]) -> Answer:
        form = wanted_form(request.headers.get("accept", ""))
        if len(steps) == 1 and form == AS_DISCOVERY:
            found = answer(discovery.aggregated(core=steps[0] == "api"))
            return Answer(found.code, found.body, discovery.AGGREGATED)
        if steps == ["api"]:
            return answer(discovery.api(request.headers.get("host", "")))
        if steps == ["apis"]:
            return answer(discovery.apis())
        if steps[0] == "api":
            return answer(discovery.resources("", steps[1]))
        if len(steps) == 2:
            return answer(discovery.group(steps[1]))
        return answer(discovery.resources(steps[1], steps[2]))

    def _openapi(self, steps: list[str]) -> Answer:
        if not steps:
            return answer(discovery.openapi_index())
        if steps[0] == "api" and len(steps) == 2:
            return answer(discovery.openapi("", steps[1]))
        if steps[0] == "apis" and len(steps) == 3 and (steps[1], steps[2]) in GROUP_VERSIONS:
            return answer(discovery.openapi(steps[1], steps[2]))
        raise errors.no_page()

    def _resource(self, request: Request, group: str, version: str, steps: list[str]) -> Answer:
        namespace = ""
        if steps[0] == "namespaces" and len(steps) >= 3 and steps[2] not in ("status", "finalize"):
            namespace, steps = steps[1], steps[2:]
        plural = steps[0]
        if plural == "namespaces" and len(steps) >= 2:
            namespace = steps[1]
        name, sub = [*steps[1:], "", ""][:2]
        kind = BY_RESOURCE.get((group, version, plural))
        self._permit(request, kind or Kind(group, version, plural, plural), namespace, name, sub)
        if (group, plural) in REVIEWS and not name:
            return self._review(request, REVIEWS[group, plural])
        if group and (group, version) not in GROUP_VERSIONS:
            raise errors.no_page()
        if kind is None or len(steps) > 3 or (sub and sub not in kind.subresources):
            raise errors.no_resource()
        if namespace and not kind.namespaced and plural != "namespaces":
            raise errors.no_resource()
        return self._act(request, Target(kind, namespace if kind.namespaced else "", name, sub))

    def _permit(self, request: Request, kind: Kind, namespace: str, name: str, sub: str) -> None:
        verb = _VERBS.get(request.method, request.method.lower())
        if verb == "get" and not name:
            verb = "watch" if request.flag("watch") else "list"
        elif verb == "delete" and not name:
            verb = "deletecollection"
        resource = f"{kind.plural}/{sub}" if sub else kind.plural
        if self.access.why(request.user, Wish(verb, kind.group, resource, namespace)) is None:
            raise errors.forbidden(
                request.user.name, verb, kind, subresource=sub, namespace=namespace, name=name
            )

    def _review(self, request: Request, kind: str) -> Answer:
        if request.method != "POST":
            raise errors.wrong_method()
        if kind == "SelfSubjectReview":
            return answer(self.access.who(request.user, self.cluster.engine.stamp()), 201)
        body = request.json()
        if not isinstance(body, dict):
            raise errors.bad_request("the body is no object")
        review = self.access.review if kind == "SelfSubjectAccessReview" else self.access.rules
        return answer(review(request.user, body), 201)

    def _act(self, request: Request, target: Target) -> Answer:
        method, cluster = request.method, self.cluster
        if method == "GET":
            return self._read(request, target)
        if method == "POST":
            if target.sub == "eviction":
                return kube_remove.evict(cluster, request, target)
            if not target.name and (target.namespace or not target.kind.namespaced):
                return kube_write.create(cluster, request, target)
        if method == "PUT" and target.name and target.sub in ("", "scale", "status"):
            return kube_write.put(cluster, request, target)
        if method == "PATCH" and target.name and target.sub in ("", "scale", "status"):
            return kube_write.patch(cluster, request, target)
        if method == "DELETE" and target.name and not target.sub:
            return kube_remove.delete(cluster, request, target)
        raise errors.wrong_method()

    def _read(self, request: Request, target: Target) -> Answer:
        if not target.name:
            if request.flag("watch"):
                return kube_watch.watch(self.cluster, request, target)
            return kube_read.read_list(self.cluster, request, target)
        if target.sub == "scale":
            return kube_write.read_scale(self.cluster, target)
        if target.sub == "log":
            return self._log(target)
        if target.sub == "eviction":
            raise errors.wrong_method()
        return kube_read.read_one(self.cluster, request, target)

    def _log(self, target: Target) -> Answer:
        pod = self.cluster.store.get(POD, (target.namespace, target.name))
        if pod is None:
            raise errors.not_found(POD, target.name)
        name = pod["spec"]["containers"][0]["name"]
        return Answer(body=f"{name}: listening on :8080\n".encode(), media_type=PLAIN)


def serve(
    cluster: Cluster,
    host: str,
    port: int,
    tokens: dict[str, str],
    *,
    act_in: frozenset[str] | None = None,
    names: tuple[str, ...] = (),
) -> Server:
    """Start the API on a thread. `tokens` maps bearer tokens to users (admin, operator, viewer, nobody).

    `act_in` are the operator's namespaces, by default every one that holds a workload; `names` are further host
    names that the certificate is good for. The answer has `.url`
    (https), `.http_url`, `.ca` (PEM) and `.stop()`.
    """
    if act_in is None:
        with cluster.lock:
            act_in = frozenset(key[0] for key in cluster.workload_keys())
    api = Api(cluster, Access(tokens, act_in))
    server = Server(api.respond, host, port, names)
    server.start()
    log.info("Kubernetes API at %s", server.url)
    return server
