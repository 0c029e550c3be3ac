"""Will a written field stay, and who would take it back (reference: actions, section 12).

A path is contested when a server-side applier owns it; an autoscaler owns replicas; GitOps tools are known by
their marks on this very object.
"""

from __future__ import annotations

from typing import Any

from app.model.action import Forecast, Target

Obj = dict[str, Any]
REPLICAS = "spec.replicas"
_ARGO = "argocd.argoproj.io/tracking-id"
_FLUX = "kustomize.toolkit.fluxcd.io/name"
_FLUX_OFF = "kustomize.toolkit.fluxcd.io/reconcile"
_FLUX_HELM = "helm.toolkit.fluxcd.io/name"


def autoscaler_of(autoscalers: list[Obj], target: Target) -> Obj | None:
    """The HorizontalPodAutoscaler whose scaleTargetRef is this workload."""
    for autoscaler in autoscalers:
        ref = (autoscaler.get("spec") or {}).get("scaleTargetRef") or {}
        if (ref.get("kind"), ref.get("name")) == (target.kind, target.name):
            return autoscaler
    return None


def of_replicas(live: Obj, autoscaler: Obj | None, wanted: int, target: Target) -> tuple[Forecast, ...]:
    """Everything that would move spec.replicas again; one that stays when nothing would."""
    found = [_by_autoscaler(autoscaler, wanted)] if autoscaler else []
    found += [*_by_applier(live), *_by_marks(live, target)]
    return tuple(found) or (Forecast(REPLICAS, True, "", "nobody else sets it"),)


def bounds(autoscaler: Obj) -> tuple[int, int]:
    """(minReplicas, maxReplicas); minReplicas defaults to 1."""
    spec = autoscaler.get("spec") or {}
    return int(spec.get("minReplicas") or 1), int(spec.get("maxReplicas") or 1)


def manager_of_replicas(live: Obj) -> str:
    """Who set spec.replicas last by its managedFields; empty = unknown (the entry may be missing)."""
    for entry in _entries(live):
        if _owns(entry):
            return str(entry.get("manager") or "")
    return ""


def _by_autoscaler(autoscaler: Obj, wanted: int) -> Forecast:
    low, high = bounds(autoscaler)
    name = str((autoscaler.get("metadata") or {}).get("name") or "")
    who = f"KEDA ({name})" if name.startswith("keda-hpa-") else f"HPA {name}"
    if wanted == 0:
        return Forecast(
            REPLICAS, True, who, "0 replicas switch the autoscaler off until replicas are set again"
        )
    advice = f"raise its minReplicas to {wanted} instead" if wanted <= high else f"its maximum is {high}"
    if not low <= wanted <= high:
        why = f"{wanted} is outside its {low} to {high}: put back within about 15 s; {advice}"
    else:
        why = f"taken back within 15 s to 5 min, whenever its metrics ask for another number; {advice}"
    return Forecast(REPLICAS, False, who, why)


def _by_applier(live: Obj) -> list[Forecast]:
    appliers = [entry for entry in _entries(live) if entry.get("operation") == "Apply" and _owns(entry)]
    return [
        Forecast(
            REPLICAS,
            False,
            str(entry.get("manager")),
            "it applies this very field and takes it back at its next apply",
        )
        for entry in appliers
    ]


def _by_marks(live: Obj, target: Target) -> list[Forecast]:
    meta = live.get("metadata") or {}
    labels, notes = meta.get("labels") or {}, meta.get("annotations") or {}
    found = []
    tracked = str(notes.get(_ARGO) or "")
    if tracked.endswith(f"/{target.kind}:{target.namespace}/{target.name}"):
        app = tracked.split(":", 1)[0]
        why = "reverted after about 5 s with self-heal, otherwise at the next sync"
        found.append(Forecast(REPLICAS, False if _in_git(live) else None, f"Argo CD application {app}", why))
    if labels.get(_FLUX) and notes.get(_FLUX_OFF) != "disabled":
        why = "reverted within its interval if Git sets this field"
        found.append(Forecast(REPLICAS, None, f"Flux Kustomization {labels[_FLUX]}", why))
    if labels.get(_FLUX_HELM):
        why = "reverted if drift detection is on, otherwise at the next upgrade"
        found.append(Forecast(REPLICAS, None, f"Flux HelmRelease {labels[_FLUX_HELM]}", why))
    elif labels.get("app.kubernetes.io/managed-by") == "Helm":
        release = notes.get("meta.helm.sh/release-name") or labels.get("app.kubernetes.io/instance") or ""
        found.append(Forecast(REPLICAS, True, f"Helm {release}".strip(), "stays until the next upgrade"))
    return found


def _in_git(live: Obj) -> bool:
    return any(
        str(entry.get("manager", "")).startswith("argocd") and _owns(entry) for entry in _entries(live)
    )


def _entries(live: Obj) -> list[Obj]:
    entries = (live.get("metadata") or {}).get("managedFields")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _owns(entry: Obj) -> bool:
    fields = entry.get("fieldsV1")
    spec = fields.get("f:spec") if isinstance(fields, dict) else None
    return isinstance(spec, dict) and "f:replicas" in spec
