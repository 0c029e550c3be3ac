"""Signing in and out with a local account (UI 8.1)."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from flask import Blueprint, Response, make_response, redirect, render_template, request

from app.web import cookies
from app.web.access import Kind, current, requires
from app.web.identify import peer
from app.web.services import Services, services

blueprint = Blueprint("login", __name__)
log = logging.getLogger("quarterdeck.access")

_WRONG = "Name or password is not right."
_LOCKED = "Too many tries."


@blueprint.get("/login")
@requires("public")
def form() -> Response:
    """The form; a person who is signed in already goes on."""
    wanted = safe_next(request.args.get("next"))
    if current().kind is Kind.USER:
        return redirect(wanted, code=303)  # type: ignore[return-value]
    if not services().accounts.has_users():
        return redirect("/setup", code=303)  # type: ignore[return-value]
    return _form(next_=wanted)


@blueprint.post("/login")
@requires("public", csrf=False)
def sign_in() -> Response:
    """Check name and password; one sentence for every failure, and a pause after five of them."""
    parts = services()
    name, password = request.form.get("username", "").strip(), request.form.get("password", "")
    wanted = safe_next(request.form.get("next"))
    wait = _take_tries(parts, name)
    if wait:
        return _form(status=429, message=_LOCKED, next_=wanted, locked=wait, username=name)
    found = parts.accounts.sign_in(name, password, address=peer(), agent=request.user_agent.string)
    if found is None:
        parts.metrics.count("login_failed")
        log.info("sign-in refused from %s", peer())
        return _form(status=401, message=_WRONG, next_=wanted, username=name)
    _give_back(parts, name)
    _end_present(parts)
    answer = redirect(wanted, code=303)
    cookies.put(answer, parts.config, found.secret)  # type: ignore[arg-type]
    return answer  # type: ignore[return-value]


@blueprint.post("/logout")
@requires("public")
def sign_out() -> Response:
    """End the session on the server, its sockets, and the cookie."""
    parts = services()
    _end_present(parts)
    answer = redirect("/login", code=303)
    cookies.drop(answer, parts.config)  # type: ignore[arg-type]
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer  # type: ignore[return-value]


def safe_next(text: str | None) -> str:
    """A relative path of ours, else `/`: never `//host`, `/\\host`, or anything with control characters."""
    if not text or not text.startswith("/") or text.startswith(("//", "/\\")):
        return "/"
    if any(ord(char) < 32 or char == "\\" for char in text) or len(text) > 2000:
        return "/"
    parts = urlsplit(text)
    own = not parts.scheme and not parts.netloc and not parts.path.startswith(("/login", "/logout", "/setup"))
    return text if own else "/"


def _take_tries(parts: Services, name: str) -> float:
    """0, or the seconds to wait: five tries in 15 minutes for each address and for each name."""
    taken = [
        parts.limits.take("login", f"ip {peer()}"),
        parts.limits.take("login", f"user {name.lower()[:64]}"),
    ]
    return max(one.retry_after for one in taken)


def _give_back(parts: Services, name: str) -> None:
    parts.limits.give_back("login", f"ip {peer()}")
    parts.limits.give_back("login", f"user {name.lower()[:64]}")


def _end_present(parts: Services) -> None:
    """A sign-in always begins a new session, so a planted or old id is worth nothing afterwards."""
    secret = request.cookies.get(cookies.name(parts.config))
    if secret:
        parts.accounts.sign_out(secret)
        if parts.live is not None and current().session:
            parts.live.disconnect_session(current().session, "signed-out")


def _form(
    *, status: int = 200, message: str = "", next_: str = "/", locked: float = 0.0, username: str = ""
) -> Response:
    body = render_template(
        "pages/login.html", message=message, next=next_, locked_seconds=round(locked), username=username[:64]
    )
    answer = make_response(body, status)
    answer.headers["Cache-Control"] = "no-store"
    if locked:
        answer.headers["Retry-After"] = str(round(locked) + 1)
    return answer
