"""Actions from proposal to verdict: who may, in which order, and what is written down.

Planning, permission checks and writes happen where a writing account is configured (`serve`, the worker of the
act queue); elsewhere the row waits and `follow_all` of that process takes it on. Intent is written before the
call and outcome after it, so that a crash leaves a visible `unknown`, which is reconciled and never repeated.
"""

from __future__ import annotations

from app.act.decide import approve, cancel, execute, plan, propose, reject
from app.act.rounds import follow_all

__all__ = [
    "approve",
    "cancel",
    "execute",
    "follow_all",
    "plan",
    "propose",
    "reject",
]
