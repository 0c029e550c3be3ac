"""Making the first admin with the one-time code that the server printed; closed as soon as a user exists."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, redirect, render_template, request

from app.errors import BadInput, NotAllowed, NotFound
from app.web import cookies
from app.web.access import requires
from app.web.identify import peer
from app.web.services import Services, services

blueprint = Blueprint("setup", __name__)


@blueprint.get("/setup")
@requires("public")
def form() -> Response:
    """The form, while no user exists."""
    _open_only_at_first()
    return _form()


@blueprint.post("/setup")
@requires("public", csrf=False)
def make_first_admin() -> Response:
    """Use the code, make the admin, sign in."""
    _open_only_at_first()
    parts = services()
    taken = parts.limits.take("setup", peer())
    if not taken.allowed:
        return _form(429, "Too many tries. Wait, or restart the server for a new code.")
    name, password = request.form.get("username", "").strip(), request.form.get("password", "")
    try:
        parts.accounts.make_first_admin(name, password, request.form.get("code", ""))
    except BadInput as error:
        return _form(422, "", {error.field or "": str(error)})
    except NotAllowed as error:
        return _form(422, "", {"code": str(error)})
    return _signed_in(parts, name, password)


def _signed_in(parts: Services, name: str, password: str) -> Response:
    answer = redirect("/", code=303)
    found = parts.accounts.sign_in(name, password, address=peer(), agent=request.user_agent.string)
    if found is not None:
        cookies.put(answer, parts.config, found.secret)  # type: ignore[arg-type]
    return answer  # type: ignore[return-value]


def _open_only_at_first() -> None:
    if services().accounts.has_users():
        raise NotFound("There is nothing to set up: users exist already.")


def _form(status: int = 200, message: str = "", errors: dict[str, str] | None = None) -> Response:
    body = render_template("pages/setup.html", message=message, errors=errors or {})
    answer = make_response(body, status)
    answer.headers["Cache-Control"] = "no-store"
    return answer
