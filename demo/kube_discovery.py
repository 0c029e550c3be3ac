"""What the API says about itself: groups, versions, resources, in the plain and in the aggregated form."""

from __future__ import annotations

from demo.kube_errors import no_page
from demo.kube_kinds import ALL_VERBS, GROUP_VERSIONS, KINDS, REVIEWS, Kind, Obj

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERSION: Obj = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2",
    "gitCommit": "98b35193b2ac7a23a673325f5e9b830ecd5ba406",
    "gitTreeState": "clean",
    "buildDate": "2026-08-21T00:00:00Z",
    "goVersion": "go1.27.3",
    "compiler": "gc",
    "platform": "linux/amd64",
}
VERBS = tuple(verb for verb in ALL_VERBS if verb != "deletecollection")
_SUB_VERBS = {
    "scale": ("get", "patch", "update"),
    "status": ("get", "patch", "update"),
    "eviction": ("create",),
    "log": ("get",),
}
_SUB_KINDS = {"scale": ("autoscaling", "v1", "Scale"), "eviction": ("policy", "v1", "Eviction")}


def api(address: str) -> Obj:
    """GET /api."""
    client = {"clientCIDR": "0.0.0.0/0", "serverAddress": address}
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [client]}


def apis() -> Obj:
    """GET /apis."""
    groups = []
    for group, version in GROUP_VERSIONS:
        entry = {"groupVersion": f"{group}/{version}", "version": version}
        groups.append({"name": group, "versions": [entry], "preferredVersion": entry})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(name: str) -> Obj:
    """GET /apis/<group>. Raises the text 404 for one that is not there."""
    for found in apis()["groups"]:
        if found["name"] == name:
            return {"kind": "APIGroup", "apiVersion": "v1", **found}
    raise no_page()


def resources(group: str, version: str) -> Obj:
    """GET /api/v1 or /apis/<group>/<version>. Raises the text 404 for one that is not there."""
    listed = [
        entry for kind in KINDS if (kind.group, kind.version) == (group, version) for entry in _resource(kind)
    ]
    listed += [
        {"name": plural, "singularName": kind.lower(), "namespaced": False, "kind": kind, "verbs": ["create"]}
        for (of, plural), kind in REVIEWS.items()
        if of == group
    ]
    if not listed:
        raise no_page()
    head: Obj = {"kind": "APIResourceList"}
    if group:
        head["apiVersion"] = "v1"
    return {**head, "groupVersion": f"{group}/{version}" if group else version, "resources": listed}


def _resource(kind: Kind) -> list[Obj]:
    entry: Obj = {
        "name": kind.plural,
        "singularName": kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(VERBS),
    }
    if kind.short:
        entry["shortNames"] = list(kind.short)
    if kind.in_all:
        entry["categories"] = ["all"]
    return [entry, *(_subresource(kind, sub) for sub in sorted(kind.subresources))]


def _subresource(kind: Kind, sub: str) -> Obj:
    entry: Obj = {"name": f"{kind.plural}/{sub}", "singularName": "", "namespaced": kind.namespaced}
    if sub in _SUB_KINDS:
        entry["group"], entry["version"], entry["kind"] = _SUB_KINDS[sub]
    else:
        entry["kind"] = kind.kind
    entry["verbs"] = list(_SUB_VERBS[sub])
    return entry


def aggregated(*, core: bool) -> Obj:
    """GET /api or /apis as APIGroupDiscoveryList."""
    wanted = [("", "v1")] if core else list(GROUP_VERSIONS)
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [
                {"version": version, "resources": _aggregate(name, version), "freshness": "Current"}
            ],
        }
        for name, version in wanted
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregate(group: str, version: str) -> list[Obj]:
    listed = [_aggregate_kind(kind) for kind in KINDS if (kind.group, kind.version) == (group, version)]
    for (of, plural), kind in REVIEWS.items():
        if of == group:
            shape = {"group": group, "version": version, "kind": kind}
            listed.append(
                {
                    "resource": plural,
                    "responseKind": shape,
                    "scope": "Cluster",
                    "singularResource": kind.lower(),
                    "verbs": ["create"],
                }
            )
    return listed


def _aggregate_kind(kind: Kind) -> Obj:
    shape = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    entry: Obj = {
        "resource": kind.plural,
        "responseKind": shape,
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.kind.lower(),
        "verbs": list(VERBS),
    }
    if kind.short:
        entry["shortNames"] = list(kind.short)
    if kind.in_all:
        entry["categories"] = ["all"]
    if kind.subresources:
        entry["subresources"] = [_aggregate_sub(kind, sub) for sub in sorted(kind.subresources)]
    return entry


def _aggregate_sub(kind: Kind, sub: str) -> Obj:
    group, version, name = _SUB_KINDS.get(sub, (kind.group, kind.version, kind.kind))
    return {
        "subresource": sub,
        "responseKind": {"group": group, "version": version, "kind": name},
        "verbs": list(_SUB_VERBS[sub]),
    }


def openapi_index() -> Obj:
    """GET /openapi/v3: one document per group version, for kubectl's question about fieldValidation."""
    paths = {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1"}}
    for name, version in GROUP_VERSIONS:
        paths[f"apis/{name}/{version}"] = {"serverRelativeURL": f"/openapi/v3/apis/{name}/{version}"}
    return {"paths": paths}


def openapi(group: str, version: str) -> Obj:
    """GET /openapi/v3/...: paths with the query parameters of writes, no schemas."""
    base = f"/apis/{group}/{version}" if group else f"/api/{version}"
    named = [
        {"name": n, "in": "query", "schema": {"type": "string"}}
        for n in ("dryRun", "fieldManager", "fieldValidation")
    ]
    paths: Obj = {}
    for kind in KINDS:
        if (kind.group, kind.version) != (group, version):
            continue
        gvk = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        where = "/namespaces/{namespace}" if kind.namespaced else ""
        operation = {"parameters": named, "x-kubernetes-group-version-kind": gvk, "responses": {}}
        paths[f"{base}{where}/{kind.plural}/{{name}}"] = {"patch": operation, "put": operation}
        paths[f"{base}{where}/{kind.plural}"] = {"post": operation}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.2"}, "paths": paths}
