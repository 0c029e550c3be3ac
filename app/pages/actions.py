"""Actions: plan, look, confirm, watch, verdict.

Every change is a real form. The same functions of `app.act` serve the API, so that both pass the same checks.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from flask import Blueprint, g, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue

from app import act
from app.errors import ActionConflict, ActionRefused, BadInput, NotFound
from app.model.action import ActionState, Plan, Target, Verdict
from app.model.inventory import Autoscaler, Workload
from app.pages import format as form
from app.pages import timerange
from app.pages.fragments import fragment
from app.store import actions
from app.store.actions import ActionRow
from app.web import access
from app.web.access import requires
from app.web.services import services

blueprint = Blueprint("actions", __name__)

ROWS = 100
KINDS = ("Deployment", "StatefulSet")
_S = ActionState

# The step of the dialog that a state stands for, and its words.
STATES: dict[ActionState, tuple[int, str]] = {
    _S.PLANNING: (0, "Checking and planning"),
    _S.PLANNED: (2, "Nothing is changed yet"),
    _S.AWAITING_APPROVAL: (2, "Waits for a second person"),
    _S.APPROVED: (2, "Approved, nothing is changed yet"),
    _S.EXECUTING: (3, "Being sent to the cluster"),
    _S.VERIFYING: (3, "Watching"),
    _S.SUCCEEDED: (4, "Succeeded"),
    _S.FAILED: (4, "Failed"),
    _S.INCONCLUSIVE: (4, "Cannot tell"),
    _S.REVERTED: (4, "Taken back"),
    _S.REFUSED: (0, "Refused, nothing was changed"),
    _S.CANCELLED: (2, "Cancelled, nothing was changed"),
    _S.EXPIRED: (2, "Expired, nothing was changed"),
    _S.UNKNOWN: (3, "The cluster did not answer; the object is being read again"),
}

# States with a form, and what its main button does.
FORMS: dict[ActionState, str] = {
    _S.PLANNING: "cancel",
    _S.PLANNED: "execute",
    _S.AWAITING_APPROVAL: "approve",
    _S.APPROVED: "execute",
}

_CHANGED = "changed since you looked"
_VERDICTS = (Verdict.REFUSE, Verdict.WARN, Verdict.PASS)

_COMPARED: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("error_ratio", "errors", form.ratio),
    ("p50_seconds", "p50", form.latency),
    ("p95_seconds", "p95", form.latency),
    ("rps", "rate", form.rate),
    ("callers_error_ratio", "errors its callers see", form.ratio),
    ("callers_p95_seconds", "p95 its callers see", form.latency),
)


@blueprint.get("/actions")
@requires("read")
def page() -> ResponseReturnValue:
    """Running, waiting, history."""
    timerange.requested()
    return render_template("pages/actions.html")


@blueprint.get("/actions/new")
@requires("act")
def new() -> ResponseReturnValue:
    """The form: how many replicas, and why."""
    timerange.requested()
    target = _target(request.args)
    workload, _ = _known(target)
    if workload is None:
        raise NotFound("Kubernetes knows no such workload, or was never heard.")
    wanted = request.args.get("replicas", "")
    again = _earlier(request.args.get("again", ""))
    values = {
        "replicas": wanted if wanted.isdigit() else str(workload.desired),
        "reason": again.reason if again else "",
    }
    return render_template("pages/action_new.html", **_form(target, values, {}))


@blueprint.post("/actions")
@requires("act")
def create() -> ResponseReturnValue:
    """Plan it; the plan is a page of its own. 422 with the same form when something is wrong."""
    timerange.requested()
    target = _target(request.form)
    values = {"replicas": request.form.get("replicas", ""), "reason": request.form.get("reason", "")}
    text = values["replicas"].strip()
    params: dict[str, Any] = {"replicas": int(text) if text.isdigit() and len(text) < 9 else text}
    try:
        row = act.propose(
            services().store,
            services().config,
            access.current(),
            "scale",
            target,
            params,
            values["reason"],
            idempotency_key=request.form.get("idempotency_key") or None,
        )
    except BadInput as error:
        field = (error.field or "").rpartition(".")[2]
        faults = {field: str(error)} if field in values else {}
        body = render_template(
            "pages/action_new.html", **_form(target, values, faults, "" if faults else str(error))
        )
        return make_response(body, 422)
    return redirect(f"/actions/{row.id}", code=303)


@blueprint.get("/actions/<action_id>")
@requires("read")
def show(action_id: str) -> ResponseReturnValue:
    """One action, live: anyone can follow it."""
    timerange.requested()
    return _page(action_id)


@blueprint.post("/actions/<action_id>/<any(execute,cancel,approve,reject):step>")
@requires("act")
def change(action_id: str, step: str) -> ResponseReturnValue:
    """Confirm, withdraw, approve or reject. 409 with the reason when it is too late or the plan changed."""
    timerange.requested()
    parts, caller = services(), access.current()
    try:
        if step == "execute":
            act.execute(
                parts.store,
                parts.config,
                caller,
                action_id,
                request.form.get("plan_hash", ""),
                confirm=request.form.get("confirm"),
            )
        else:
            {"cancel": act.cancel, "approve": act.approve, "reject": act.reject}[step](
                parts.store, parts.config, caller, action_id
            )
    except ActionConflict as error:
        return _page(action_id, problem=_sentence(str(error)), status=409)
    except ActionRefused as error:
        faults = {"confirm": str(error)} if "confirm" in str(error) else {}
        return _page(action_id, problem="" if faults else str(error), faults=faults, status=422)
    return redirect(f"/actions/{action_id}", code=303)


@fragment(blueprint, "action", topics=lambda: ("actions", f"action:{_asked()}"))
def action() -> dict[str, Any]:
    """One action in whatever state it is."""
    row = _row(_asked())
    step, words = STATES[row.state]
    target = row.target
    changed = row.state is _S.REFUSED and row.message.casefold().startswith(_CHANGED)
    return {
        "row": row,
        "step": step,
        "words": words,
        "message": _message(row),
        "changed": changed,
        "forms": FORMS,
        "checks": sorted(row.plan.guardrails, key=lambda one: _VERDICTS.index(one.verdict))
        if row.plan
        else [],
        "title": title(row),
        "service_href": _service_href(target),
        "compared": _compared(row),
        "sentences": _sentences(row.plan) if row.plan else [],
        "confirm_label": title(row),
        "again": _new(target, row.params.get("replicas"), again=row.id) if row.state.final else "",
        "undo": _undo(row),
        "problem": "" if changed else g.get("problem", ""),
        "faults": g.get("faults", {}),
    }


@fragment(blueprint, "action-list", topics=("actions",))
def action_list() -> dict[str, Any]:
    """What runs and waits first, then history, newest first."""
    with services().store.reading() as session:
        rows = actions.page(session, limit=ROWS + 1, before=_before())
    shown = sorted(rows[:ROWS], key=lambda row: row.state.final)
    older = rows[ROWS - 1] if len(rows) > ROWS else None
    return {
        "answer": answer(rows),
        "rows": [(row, title(row)) for row in shown],
        "older": f"{older.created_at.isoformat()}~{older.id}" if older else "",
    }


def title(row: ActionRow) -> str:
    """What it does, in words: `Scale order 3 to 6`."""
    name = form.cut(row.target.name, 60)
    before = row.plan.seen.get("replicas") if row.plan else None
    after = row.params.get("replicas")
    return f"Scale {name} {before} to {after}" if before is not None else f"Scale {name} to {after}"


def answer(rows: list[ActionRow]) -> str:
    """The sentence above the list."""
    running = sum(row.state in (_S.EXECUTING, _S.VERIFYING, _S.UNKNOWN) for row in rows)
    waiting = sum(row.state in (_S.PLANNED, _S.AWAITING_APPROVAL, _S.APPROVED) for row in rows)
    parts = [f"{running} running"] if running else []
    parts += [f"{waiting} waiting for a person"] if waiting else []
    return ", ".join(parts).capitalize() + "." if parts else "Nothing is running."


def _message(row: ActionRow) -> str:
    """What the state line adds to the state's words: not what stands below it anyway."""
    said = {row.plan.summary if row.plan else "", row.judgement.message if row.judgement else ""}
    if row.message in said or row.state in (_S.AWAITING_APPROVAL, _S.APPROVED, _S.EXECUTING):
        return ""
    return _sentence(row.message)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _earlier(action_id: str) -> ActionRow | None:
    """The action that is to be planned again: its reason need not be typed twice."""
    if not action_id:
        return None
    with services().store.reading() as session:
        return actions.get(session, action_id)


def _page(
    action_id: str, *, problem: str = "", faults: dict[str, str] | None = None, status: int = 200
) -> ResponseReturnValue:
    g.problem, g.faults = problem, faults or {}
    return make_response(render_template("pages/action.html", row=_row(action_id)), status)


def _asked() -> str:
    view = request.view_args or {}
    found: str = view.get("action_id") or request.args.get("action_id", "")
    return found


def _row(action_id: str) -> ActionRow:
    with services().store.reading() as session:
        row = actions.get(session, action_id)
    if row is None:
        raise NotFound("There is no such action.")
    return row


def _target(given: Any) -> Target:
    """The workload that a form or link names. Raises BadInput."""
    kind = given.get("workload", "")
    if kind not in KINDS:
        raise BadInput("Only Deployments and StatefulSets can be scaled.", field="workload")
    names = [given.get(name, "") for name in ("cluster", "namespace", "name")]
    if not all(names) or any(len(name) > 253 for name in names):
        raise BadInput("Name the cluster, the namespace and the workload.", field="name")
    return Target(names[0], names[1], kind, names[2])


def _known(target: Target) -> tuple[Workload | None, Autoscaler | None]:
    """What Kubernetes said last of the workload and its autoscaler."""
    known = services().reader.inventory(target.cluster)
    if known is None:
        return None, None
    wanted = (target.namespace, target.kind, target.name)
    workloads = (one for one in known[0].workloads if (one.namespace, one.kind, one.name) == wanted)
    scalers = (
        one for one in known[0].autoscalers if (one.namespace, one.target_kind, one.target_name) == wanted
    )
    return next(workloads, None), next(scalers, None)


def _form(
    target: Target, values: dict[str, str], faults: dict[str, str], problem: str = ""
) -> dict[str, Any]:
    workload, autoscaler = _known(target)
    return {
        "target": target,
        "values": values,
        "faults": faults,
        "problem": problem,
        "now_replicas": workload.desired if workload else None,
        "ready": workload.ready if workload else None,
        "autoscaler": autoscaler,
        "back": _service_href(target),
    }


def _service_href(target: Target) -> str:
    return "/services/" + "/".join(
        quote(part, safe="") for part in (target.cluster, target.namespace, target.name)
    )


def _new(target: Target, replicas: Any, **more: str) -> str:
    names = {"namespace": target.namespace, "workload": target.kind, "name": target.name}
    query = {"kind": "scale", "cluster": target.cluster, **names, "replicas": replicas, **more}
    return "/actions/new?" + urlencode(query)


def _undo(row: ActionRow) -> str:
    """The way back, once something was changed."""
    before = row.plan.seen.get("replicas") if row.plan else None
    if row.applied is None or before is None or row.state is _S.REVERTED:
        return ""
    return _new(row.target, before)


def _compared(row: ActionRow) -> list[tuple[str, str, str]]:
    if row.judgement is None:
        return []
    before, after = row.judgement.before, row.judgement.after
    named = [one for one in _COMPARED if before.get(one[0]) is not None or after.get(one[0]) is not None]
    return [(word, say(before.get(key)), say(after.get(key))) for key, word, say in named]


def _sentences(plan: Plan) -> list[str]:
    """Capacity and disruption in words."""
    load, made = plan.capacity, []
    if load.get("rps_per_pod_now") is not None and load.get("rps_per_pod_after") is not None:
        now, after = form.rate(load["rps_per_pod_now"]), form.rate(load["rps_per_pod_after"])
        made.append(f"Load per pod: {now} now, {after} after.")
    if load.get("peak_rps_per_pod_after") is not None:
        made.append(
            f"At the peak of the last hour: {form.rate(load['peak_rps_per_pod_after'])} per pod after."
        )
    if plan.disruption:
        made.append(f"At least {plan.disruption['min_ready']} pods stay ready on the way.")
    return made


def _before() -> tuple[datetime, str] | None:
    text = request.args.get("before", "")
    if not text:
        return None
    moment, _, last = text.partition("~")
    try:
        return datetime.fromisoformat(moment), last
    except ValueError:
        raise BadInput("before is a place in the list, as its links give it", field="before") from None
