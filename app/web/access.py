"""Who may do what: the caller as a `Principal`, the permissions, and the one declaration every route carries.

A view without a declaration is refused (`guard`), so forgetting one can never open a door. Authorisation looks
at the endpoint that was matched, never at the path as typed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar, cast

from flask import current_app, g, request

from app.errors import NotAllowed, NotSignedIn

View = TypeVar("View", bound=Callable[..., Any])


class Permission(StrEnum):
    """What a route or socket event needs of its caller."""

    PUBLIC = "public"
    READ = "read"
    SELF = "self"  # one's own account: sessions and tokens; a signed-in person only
    ACT = "act"
    APPROVE = "approve"
    ADMIN = "admin"
    INGEST = "ingest"


class Kind(StrEnum):
    """How the caller proved who it is."""

    USER = "user"
    TOKEN = "token"  # noqa: S105 - not a password
    ANONYMOUS = "anonymous"
    LOOPBACK = "loopback"


ROLES = ("viewer", "responder", "approver", "admin")

_ROLE_GIVES: dict[str, frozenset[Permission]] = {
    "": frozenset({Permission.PUBLIC}),
    "viewer": frozenset({Permission.PUBLIC, Permission.READ}),
    "responder": frozenset({Permission.PUBLIC, Permission.READ, Permission.ACT}),
    "approver": frozenset({Permission.PUBLIC, Permission.READ, Permission.ACT, Permission.APPROVE}),
    "admin": frozenset(
        {Permission.PUBLIC, Permission.READ, Permission.ACT, Permission.APPROVE, Permission.ADMIN}
    ),
}
_SCOPE_GIVES: dict[str, frozenset[Permission]] = {
    "read": _ROLE_GIVES["viewer"],
    "ingest": frozenset({Permission.PUBLIC, Permission.INGEST}),
    "webhook:ingest": frozenset({Permission.PUBLIC, Permission.INGEST}),
}
# A token proves that a program is calling; approving and minting need a person.
_NEVER_BY_TOKEN = frozenset({Permission.APPROVE, Permission.SELF})


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller: its name for the audit log, its role, and how it signed in.

    `scopes` narrow a token (role names, `read`, `ingest`, `action:<kind>@<namespace>`) and name the one
    permission of a loopback program; `session` is the hash of the session (user) or the token's public id.
    """

    name: str
    role: str = ""
    scopes: frozenset[str] = field(default_factory=frozenset)
    kind: Kind = Kind.ANONYMOUS
    session: str = ""
    csrf_token: str = ""

    def allows(self, permission: Permission | str) -> bool:
        """Whether this caller holds the permission at all (object-level checks come on top)."""
        wanted = Permission(permission)
        if self.kind is Kind.LOOPBACK:
            return wanted is Permission.PUBLIC or str(wanted) in self.scopes
        if self.kind is Kind.TOKEN:
            return wanted in self._by_scopes() - _NEVER_BY_TOKEN
        if wanted is Permission.SELF:
            return self.kind is Kind.USER
        return wanted in _ROLE_GIVES.get(self.role, _ROLE_GIVES[""])

    def _by_scopes(self) -> frozenset[Permission]:
        given = frozenset({Permission.PUBLIC})
        for scope in self.scopes:
            if scope.startswith("action:"):
                given |= _ROLE_GIVES["responder"]
            else:
                given |= _SCOPE_GIVES.get(scope, frozenset()) | _ROLE_GIVES.get(scope, frozenset())
        limit = _ROLE_GIVES[self.role] if self.role in ROLES else frozenset(Permission)
        return given & (limit | {Permission.INGEST})

    def may_act(self, kind: str, namespace: str) -> bool:
        """Whether the caller may take this kind of action in this namespace; narrows `action:` scopes."""
        if not self.allows(Permission.ACT):
            return False
        narrow = {scope for scope in self.scopes if scope.startswith("action:")}
        if self.kind is not Kind.TOKEN or self.scopes & {"responder", "approver", "admin"}:
            return True
        return bool(narrow & {f"action:{kind}", f"action:{kind}@{namespace}"})

    @property
    def visibility(self) -> str:
        """What this caller can see, as a cache key: answers are shared only between equal values."""
        return "fleet" if self.allows(Permission.READ) else "none"


NOBODY = Principal("anonymous")


@dataclass(frozen=True, slots=True)
class Declared:
    """What a view declared: the permission, whether its unsafe methods need the session's CSRF token, and the
    group of `auth.open` (also the loopback convention) that lets programs in without a token."""

    permission: Permission
    csrf: bool = True
    group: str = ""


def requires(permission: str, *, csrf: bool = True, group: str = "") -> Callable[[View], View]:
    """Declare what a view needs; goes right under the route decorator.

    `csrf=False` is for forms sent before a session exists (their Origin is still checked). `group` names the
    member of `auth.open`; for `ingest` it is `otlp` unless said otherwise.
    """
    wanted = Permission(permission)
    if wanted is Permission.INGEST and not group:
        group = "otlp"

    def declare(view: View) -> View:
        target = cast(Any, view)
        target.permission = wanted
        target.declared = Declared(wanted, csrf, group)
        return view

    return declare


def declared_for(endpoint: str | None) -> Declared | None:
    """The declaration of an endpoint, or None when it made none."""
    view = current_app.view_functions.get(endpoint or "")
    return getattr(view, "declared", None)


def current() -> Principal:
    """The caller of this request (anonymous without any role before `guard` has run)."""
    found: Principal = g.get("principal", NOBODY)
    return found


def demand(permission: Permission | str) -> Principal:
    """The caller, if it holds the permission. Raises NotSignedIn (401) or NotAllowed (403)."""
    principal = current()
    if principal.allows(permission):
        return principal
    if principal.kind is Kind.ANONYMOUS:
        raise NotSignedIn("Sign in to use this.")
    raise NotAllowed(
        f"Your role does not include “{Permission(permission)}”. An administrator can change it."
    )


def guard(identify: Callable[[Declared], Principal]) -> None:
    """Before each request: learn who calls, refuse what is not declared or not allowed.

    A request that matched no route passes (its answer is 404 and says nothing).
    """
    if request.endpoint is None:
        return
    declared = declared_for(request.endpoint)
    if declared is None:
        raise NotAllowed("This address declares no permission, so nobody may use it.")
    g.principal = identify(declared)
    demand(declared.permission)
