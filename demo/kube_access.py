"""Who may do what: four users by bearer token, and the reviews that tell a client about itself.

`viewer` reads what the recorded ClusterRole `view` reads, and nodes and leases; `operator` reads the same and
acts in its namespaces; `nobody` may ask about itself and nothing else; `admin` may do everything.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from demo.kube_errors import bad_request, unauthorized
from demo.kube_kinds import Obj

READ = ("get", "list", "watch")
ANONYMOUS = "system:anonymous"
PUBLIC_PATHS = ("/healthz", "/livez", "/readyz", "/version")
_VIEW: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("",), ("configmaps", "endpoints", "pods", "pods/log", "pods/status", "services", "resourcequotas", "namespaces",
             "nodes")),
    (("", "events.k8s.io"), ("events",)),
    (("apps",), ("controllerrevisions", "daemonsets", "daemonsets/status", "deployments", "deployments/scale",
                 "deployments/status", "replicasets", "replicasets/scale", "replicasets/status", "statefulsets",
                 "statefulsets/scale", "statefulsets/status")),
    (("autoscaling",), ("horizontalpodautoscalers", "horizontalpodautoscalers/status")),
    (("policy",), ("poddisruptionbudgets", "poddisruptionbudgets/status")),
    (("discovery.k8s.io",), ("endpointslices",)),
    (("coordination.k8s.io",), ("leases",)),
    (("metrics.k8s.io",), ("nodes", "pods")),
)  # fmt: skip
_ACT: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (("patch", "update"), ("apps",), ("daemonsets", "deployments", "statefulsets")),
    (("get", "patch", "update"), ("apps",), ("deployments/scale", "statefulsets/scale")),
    (("patch", "update"), ("autoscaling",), ("horizontalpodautoscalers",)),
    (("delete",), ("",), ("pods",)),
    (("create",), ("",), ("pods/eviction",)),
)
_SELF = (
    (("authorization.k8s.io",), ("selfsubjectaccessreviews", "selfsubjectrulesreviews")),
    (("authentication.k8s.io",), ("selfsubjectreviews",)),
)


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ()
    known: bool = True


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for; `resource` includes the subresource, `namespace` is "" at cluster scope."""

    verb: str
    group: str
    resource: str
    namespace: str = ""


@dataclass(frozen=True)
class Access:
    """Tokens and roles. `tokens` maps a bearer token to a user's name; `act_in` are the operator's namespaces."""

    tokens: dict[str, str]
    act_in: frozenset[str] = field(default_factory=frozenset)

    def user(self, authorization: str | None) -> User:
        """The user of an Authorization header. Raises the 401 refusal for a token that is not ours."""
        if not authorization:
            return User(ANONYMOUS, ("system:unauthenticated",), known=False)
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "bearer":
            for token, name in self.tokens.items():
                if hmac.compare_digest(token.encode(), given.strip().encode()):
                    return User(name, (*_groups(name), "system:authenticated"))
        raise unauthorized()

    def why(self, user: User, wish: Wish) -> str | None:
        """The reason RBAC gives for allowing, or None when it does not."""
        if user.name == "admin":
            return _bound(
                'ClusterRoleBinding "cluster-admin" of ClusterRole "cluster-admin" to Group "system:masters"'
            )
        if not user.known:
            return None
        if wish.verb == "create" and any(
            wish.group in groups and wish.resource in names for groups, names in _SELF
        ):
            return _bound('ClusterRoleBinding "system:basic-user"')
        if user.name in ("viewer", "operator") and _may_read(wish):
            return _bound(
                f'ClusterRoleBinding "{user.name}-view" of ClusterRole "view" to Group "{user.name}s"'
            )
        if user.name == "operator" and wish.namespace in self.act_in and _may_act(wish):
            binding = f"quarterdeck-operator/{wish.namespace}"
            return _bound(f'RoleBinding "{binding}" of Role "quarterdeck-operator" to Group "operators"')
        return None

    def may_see_path(self, user: User, path: str) -> bool:
        """Whether a path that is no resource may be read: health and version by all, discovery by the known."""
        return user.known or path.startswith(PUBLIC_PATHS)

    def review(self, user: User, body: Obj) -> Obj:
        """Answer a SelfSubjectAccessReview."""
        spec = body.get("spec")
        if not isinstance(spec, dict):
            raise bad_request("spec is required")
        asked = spec.get("resourceAttributes")
        if isinstance(asked, dict):
            reason = self._why_asked(user, asked)
        else:
            path = str((spec.get("nonResourceAttributes") or {}).get("path", ""))
            reason = (
                'RBAC: allowed by ClusterRoleBinding "system:discovery"'
                if self.may_see_path(user, path)
                else None
            )
        status: Obj = {"allowed": reason is not None}
        if reason:
            status["reason"] = reason
        return {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": spec,
            "status": status,
        }

    def _why_asked(self, user: User, asked: Obj) -> str | None:
        resource = str(asked.get("resource", ""))
        if asked.get("subresource"):
            resource = f"{resource}/{asked['subresource']}"
        wish = Wish(
            str(asked.get("verb", "")), str(asked.get("group", "")), resource, str(asked.get("namespace", ""))
        )
        return self.why(user, wish)

    def rules(self, user: User, body: Obj) -> Obj:
        """Answer a SelfSubjectRulesReview."""
        namespace = str((body.get("spec") or {}).get("namespace", ""))
        resources = [
            {"verbs": ["create"], "apiGroups": list(groups), "resources": list(names)}
            for groups, names in _SELF
        ]
        if user.name == "admin":
            resources = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
        if user.name in ("viewer", "operator"):
            resources += [
                {"verbs": list(READ), "apiGroups": list(groups), "resources": list(names)}
                for groups, names in _VIEW
            ]
        if user.name == "operator" and namespace in self.act_in:
            resources += [
                {"verbs": list(verbs), "apiGroups": list(groups), "resources": list(names)}
                for verbs, groups, names in _ACT
            ]
        paths = [
            "/api",
            "/api/*",
            "/apis",
            "/apis/*",
            "/healthz",
            "/livez",
            "/openapi",
            "/openapi/*",
            "/readyz",
        ]
        return {
            "kind": "SelfSubjectRulesReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": {},
            "status": {
                "resourceRules": resources,
                "nonResourceRules": [
                    {"verbs": ["get"], "nonResourceURLs": [*paths, "/version", "/version/"]}
                ],
                "incomplete": False,
            },
        }

    def who(self, user: User, stamp: str) -> Obj:
        """Answer a SelfSubjectReview."""
        return {
            "kind": "SelfSubjectReview",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"creationTimestamp": stamp},
            "status": {
                "userInfo": {"username": user.name, "uid": f"u-{user.name}", "groups": list(user.groups)}
            },
        }


def _bound(by: str) -> str:
    return f"RBAC: allowed by {by}"


def _groups(name: str) -> tuple[str, ...]:
    named = {"admin": ("system:masters",), "operator": ("operators",), "viewer": ("viewers",)}
    return named.get(name, ())


def _may_read(wish: Wish) -> bool:
    if wish.verb not in READ:
        return False
    return any(wish.group in groups and wish.resource in names for groups, names in _VIEW)


def _may_act(wish: Wish) -> bool:
    return any(
        wish.verb in verbs and wish.group in groups and wish.resource in names
        for verbs, groups, names in _ACT
    )
