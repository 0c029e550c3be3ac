"""The HorizontalPodAutoscaler: every 15 s, CPU only, with the tolerance, limits and stabilisation of the defaults."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from demo.controllers import Engine
from demo.kube_endpoints import PodIndex
from demo.kube_kinds import AUTOSCALER, DEPLOYMENT, STATEFUL_SET, Key, Kind, Obj
from demo.kube_node import asked_cpu
from demo.kube_objects import condition, is_leaving, is_ready
from demo.kube_scale import set_replicas
from demo.kube_store import Change

SYNC_SECONDS = 15.0
TOLERANCE = 0.1
STABILISE_SECONDS = 300.0
_TARGETS = {"Deployment": DEPLOYMENT, "StatefulSet": STATEFUL_SET}
_VALID = (
    "True",
    "ValidMetricFound",
    "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)",
)
_NO_METRIC = (
    "the HPA was unable to compute the replica count: failed to get cpu utilization: did not receive metrics for "
    "targeted pods (pods might be unready)"
)


class Verdict(NamedTuple):
    """What a sync wants: the number, and why it is limited (reason, message; empty reason when it is not)."""

    wanted: int
    limited: str
    words: str
    stabilised: bool


class Autoscalers:
    """One autoscaler at a time."""

    name = "autoscaler"

    def __init__(self, engine: Engine, pods: PodIndex) -> None:
        self.engine = engine
        self.pods = pods
        self._recent: dict[str, deque[tuple[float, int]]] = {}

    def react(self, change: Change) -> None:
        """A new autoscaler begins its rounds."""
        if change.entry.kind is AUTOSCALER and change.type == "ADDED":
            self.engine.wake(self.name, change.entry.key, self.engine.rng.uniform(0.5, 3.0))

    def sync(self, key: Key) -> None:
        """One round."""
        scaler = self.engine.store.get(AUTOSCALER, key)
        if scaler is None:
            return
        self.engine.wake(self.name, key, SYNC_SECONDS)
        reference = scaler["spec"]["scaleTargetRef"]
        kind = _TARGETS.get(reference["kind"])
        target = self.engine.store.get(kind, (key[0], reference["name"])) if kind else None
        if kind is None or target is None:
            self._lost(scaler, kind or DEPLOYMENT, reference["name"])
            return
        self._round(scaler, kind, target)

    def _round(self, scaler: Obj, kind: Kind, target: Obj) -> None:
        current = (target.get("status") or {}).get("replicas", 0)
        asked = target["spec"].get("replicas", 0)
        if asked == 0:
            words = (
                "False",
                "ScalingDisabled",
                "scaling is disabled since the replica count of the target is zero",
            )
            self._file(scaler, current=0, wanted=0, metrics=None, active=words, able=_got_scale())
            return
        low, high = scaler["spec"].get("minReplicas", 1), scaler["spec"]["maxReplicas"]
        if not low <= asked <= high:  # put back before any metric is looked at
            bound = low if asked < low else high
            why = (
                "Current number of replicas below Spec.MinReplicas"
                if asked < low
                else "Current number of replicas above Spec.MaxReplicas"
            )
            self._rescale(scaler, kind, target, bound, why)
            self._file(
                scaler, current=current, wanted=bound, metrics=None, active=None, able=_rescaled(bound)
            )
            return
        usage = self._usage(target)
        if usage is None:
            words = ("False", "FailedGetResourceMetric", _NO_METRIC)
            self._file(
                scaler, current=current, wanted=0, metrics=[{"type": ""}], active=words, able=_got_scale()
            )
            return
        self._follow(scaler, kind, target, usage)

    def _follow(self, scaler: Obj, kind: Kind, target: Obj, usage: tuple[int, int]) -> None:
        percent, milli = usage
        asked = target["spec"].get("replicas", 0)
        verdict = self._verdict(scaler, asked, percent)
        current = (target.get("status") or {}).get("replicas", 0)
        metrics = [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "current": {"averageValue": f"{milli}m", "averageUtilization": percent},
                },
            }
        ]
        if verdict.wanted != asked:
            way = "above target" if verdict.wanted > asked else "below target"
            why = (
                f"cpu resource utilization (percentage of request) {way}"
                if way[0] == "a"
                else "All metrics below target"
            )
            self._rescale(scaler, kind, target, verdict.wanted, why)
            able = _rescaled(verdict.wanted)
        else:
            able = _steady(stabilised=verdict.stabilised)
        limited = (
            "True" if verdict.limited != "DesiredWithinRange" else "False",
            verdict.limited,
            verdict.words,
        )
        self._file(
            scaler,
            current=current,
            wanted=verdict.wanted,
            metrics=metrics,
            active=_VALID,
            able=able,
            limited=limited,
        )

    def _verdict(self, scaler: Obj, asked: int, percent: int) -> Verdict:
        low, high = scaler["spec"].get("minReplicas", 1), scaler["spec"]["maxReplicas"]
        ratio = percent / _target_percent(scaler)
        raw = asked if abs(ratio - 1.0) <= TOLERANCE else math.ceil(asked * ratio)
        recent = self._recent.setdefault(scaler["metadata"]["uid"], deque())
        recent.append((self.engine.now, raw))
        window = _stabilisation(scaler)
        while recent[0][0] < self.engine.now - window:
            recent.popleft()
        steady = max(count for _, count in recent) if raw < asked else raw
        steady = min(steady, asked) if raw < asked else steady
        wanted = min(steady, max(2 * asked, asked + 4))
        if wanted > high:
            words = "the desired replica count is more than the maximum replica count"
            return Verdict(high, "TooManyReplicas", words, stabilised=False)
        if wanted < low:
            words = "the desired replica count is less than the minimum replica count"
            return Verdict(low, "TooFewReplicas", words, stabilised=False)
        if wanted < steady:
            words = "the desired replica count is increasing faster than the maximum scale rate"
            return Verdict(wanted, "ScaleUpLimit", words, stabilised=False)
        words = "the desired count is within the acceptable range"
        return Verdict(wanted, "DesiredWithinRange", words, stabilised=steady > raw)

    def _usage(self, target: Obj) -> tuple[int, int] | None:
        """(percent of request, milli CPU), averaged over ready pods; None when nobody measured."""
        engine = self.engine
        if engine.load is None:
            return None
        namespace = target["metadata"]["namespace"]
        selector = target["spec"]["selector"].get("matchLabels")
        shares: list[float] = []
        asked = 0
        for pod in self.pods.selected(namespace, selector):
            if is_ready(pod) and not is_leaving(pod):
                shares.append(engine.load.cpu_usage(namespace, pod["metadata"]["name"]))
                asked = asked_cpu(pod)
        if not shares or not asked:
            return None
        mean = sum(shares) / len(shares)
        return round(mean * 100), round(mean * asked)

    def _rescale(self, scaler: Obj, kind: Kind, target: Obj, count: int, why: str) -> None:
        set_replicas(self.engine, kind, target, count, manager="kube-controller-manager")
        self.engine.event(
            AUTOSCALER, scaler, "SuccessfulRescale", f"New size: {count}; reason: {why}",
            component="horizontal-pod-autoscaler",
        )  # fmt: skip

    def _lost(self, scaler: Obj, kind: Kind, name: str) -> None:
        why = f'{kind.resource} "{name}" not found'
        words = f"the HPA controller was unable to get the target's current scale: {why}"
        self.engine.event(
            AUTOSCALER, scaler, "FailedGetScale", why, component="horizontal-pod-autoscaler", type="Warning"
        )
        able = ("False", "FailedGetScale", words)
        self._file(scaler, current=0, wanted=0, metrics=None, active=None, able=able)

    def _file(
        self,
        scaler: Obj,
        *,
        current: int,
        wanted: int,
        metrics: list[Obj] | None,
        active: tuple[str, str, str] | None,
        able: tuple[str, str, str],
        limited: tuple[str, str, str] | None = None,
    ) -> None:
        stamp = self.engine.stamp()
        old = scaler.get("status") or {}
        conditions = condition(list(old.get("conditions") or ()), "AbleToScale", *able, stamp)
        if active:
            conditions = condition(conditions, "ScalingActive", *active, stamp)
        if limited:
            conditions = condition(conditions, "ScalingLimited", *limited, stamp)
        order = ("AbleToScale", "ScalingActive", "ScalingLimited")
        status: Obj = {}
        if able[1] == "SucceededRescale":
            status["lastScaleTime"] = stamp
        elif "lastScaleTime" in old:
            status["lastScaleTime"] = old["lastScaleTime"]
        if current:
            status["currentReplicas"] = current
        status.update({"desiredReplicas": wanted, "currentMetrics": metrics})
        status["conditions"] = sorted(conditions, key=lambda one: order.index(one["type"]))
        if status != old:
            self.engine.store.put(AUTOSCALER, {**scaler, "status": status})


def _target_percent(scaler: Obj) -> int:
    for metric in scaler["spec"].get("metrics") or ():
        target = (metric.get("resource") or {}).get("target") or {}
        if target.get("averageUtilization"):
            return int(target["averageUtilization"])
    return 80


def _stabilisation(scaler: Obj) -> float:
    down = (scaler["spec"].get("behavior") or {}).get("scaleDown") or {}
    return float(down.get("stabilizationWindowSeconds", STABILISE_SECONDS))


def _got_scale() -> tuple[str, str, str]:
    return ("True", "SucceededGetScale", "the HPA controller was able to get the target's current scale")


def _rescaled(count: int) -> tuple[str, str, str]:
    return ("True", "SucceededRescale", f"the HPA controller was able to update the target scale to {count}")


def _steady(*, stabilised: bool) -> tuple[str, str, str]:
    if stabilised:
        words = (
            "recent recommendations were higher than current one, applying the highest recent recommendation"
        )
        return ("True", "ScaleDownStabilized", words)
    return ("True", "ReadyForNewScale", "recommended size matches current size")
