"""What Kubernetes says about a workload's health: missing pods, pods that cannot start, stuck rollouts.

Available is compared with desired, never with the number of pods, so a surge pod of a rollout is no
failure; pods that are merely young are not missing (reference: topology 9.1 R-T19, observed 7).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.model.fleet import Reason
from app.model.inventory import Pod, Workload

YOUNG = timedelta(seconds=60)  # a pod without a bad reason may take this long to become ready
_CANNOT_RUN = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "OOMKilled",
        "Error",
        "Evicted",
        "NodeLost",
        "Unschedulable",
    }
)


@dataclass(frozen=True, slots=True)
class PodsVerdict:
    """Severity (0, 1, 2) with reasons, worst first; `scaled_to_zero` when nothing is wanted."""

    severity: int
    reasons: tuple[tuple[int, Reason], ...]
    scaled_to_zero: bool = False


def judge_pods(workload: Workload, pods: Sequence[Pod], now: datetime) -> PodsVerdict:
    """Judge a workload by its counts and its pods."""
    if workload.desired == 0:
        text = "scaled to zero"
        return PodsVerdict(0, ((0, Reason("scaled_to_zero", text, 0.0)),), scaled_to_zero=True)
    living = [pod for pod in pods if not pod.deleting and pod.phase != "Succeeded"]
    found = [*_missing(workload, living, now), *_broken(living), *_stuck(workload)]
    found.sort(key=lambda entry: -entry[0])
    return PodsVerdict(max((level for level, _ in found), default=0), tuple(found))


def _missing(workload: Workload, pods: Sequence[Pod], now: datetime) -> list[tuple[int, Reason]]:
    available, desired = workload.available, workload.desired
    if available >= desired:
        return []
    text = f"{available} of {desired} pods are available"
    reason = Reason("pods_unavailable", text, float(available), float(desired))
    if available == 0:
        return [(2, reason)]
    young = sum(1 for pod in pods if not pod.ready and _is_young(pod, now))
    if available + young >= desired or _rolling_within_limits(workload):
        starting = f"{available} of {desired} pods are available, the others are starting"
        return [(0, Reason("pods_starting", starting, float(available), float(desired)))]
    return [(1, reason)]


def _is_young(pod: Pod, now: datetime) -> bool:
    return pod.created is not None and now - pod.created < YOUNG and pod.reason not in _CANNOT_RUN


def _rolling_within_limits(workload: Workload) -> bool:
    """A rollout may keep `maxUnavailable` pods away while it moves."""
    rolling = workload.updated < workload.desired or workload.observed_generation < workload.generation
    moving = not any(c.type == "Progressing" and c.status == "False" for c in workload.conditions)
    missing = workload.desired - workload.available
    return rolling and moving and missing <= _amount(workload.max_unavailable, workload.desired)


def _amount(text: str, of: int) -> int:
    """`25%` (rounded down, as for maxUnavailable) or an absolute number; what cannot be read is 0."""
    number = text.removesuffix("%").strip()
    if not number.isdecimal():
        return 0
    return int(number) * of // 100 if text.endswith("%") else int(number)


def _broken(pods: Sequence[Pod]) -> list[tuple[int, Reason]]:
    kinds = Counter(pod.reason for pod in pods if not pod.ready and pod.reason in _CANNOT_RUN)
    return [
        (
            1,
            Reason(
                "pods_cannot_run", f"{number} {'pod' if number == 1 else 'pods'}: {why}", float(number), 0.0
            ),
        )
        for why, number in kinds.most_common()
    ]


def _stuck(workload: Workload) -> list[tuple[int, Reason]]:
    for condition in workload.conditions:
        if condition.type == "Progressing" and condition.status == "False":
            why = condition.reason or "no progress"
            return [(1, Reason("rollout_stuck", f"the rollout is stuck ({why})"))]
    return []
