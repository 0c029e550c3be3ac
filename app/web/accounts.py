"""People, their sessions and their tokens: sign-in, sign-out, first admin. Every success leaves an audit row."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from app import clock
from app.config import Secret
from app.errors import BadInput, NotAllowed
from app.model.action import token_name
from app.store import audit, sessions, settings, tokens, users
from app.web import passwords
from app.web.access import ROLES, Kind, Principal

if TYPE_CHECKING:
    from app.store.engine import Store
    from app.store.sessions import SessionRow
    from app.store.tokens import Token
    from app.store.users import User

log = logging.getLogger("quarterdeck.access")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_BELIEVED_SECONDS = 1.0
_MOST_BELIEVED = 1024
STEP_UP = timedelta(minutes=15)
_SCOPE = re.compile(r"read|ingest|webhook:ingest|action:[a-z-]{1,20}(@[a-z0-9][a-z0-9.-]{0,62})?")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A fresh session: the secret for the cookie and the caller it stands for."""

    secret: str
    principal: Principal


class Accounts:
    """Sign-in against local users, over the store. `key` seals the audit chain.

    A session once read is believed for a second, so that the dozen requests of one page cost one read; what
    ends in this process ends at once, what ends in another one a second later at most.
    """

    def __init__(
        self, store: Store, key: Secret, *, monotonic: Callable[[], float] = clock.monotonic
    ) -> None:
        self._store = store
        self._key = key
        self._monotonic = monotonic
        self._believed: dict[str, tuple[float, Principal]] = {}
        self._has_users = False

    # -- people --------------------------------------------------------------------------------------------

    def sign_in(self, name: str, password: str, *, address: str, agent: str) -> SignedIn | None:
        """A new session, or None for every kind of failure alike (unknown, disabled, wrong password)."""
        user = self._user(name)
        usable = user is not None and not user.disabled
        if not passwords.verify(user.password_hash if user and usable else None, password) or user is None:
            return None
        with self._store.begin() as session:
            if passwords.outdated(user.password_hash):
                users.rehash(session, user.name, passwords.hash_password(password))
            secret, row = sessions.start(session, user.name, address=address, agent=agent)
            audit.append(session, self.audit_key, who=user.name, what="sign-in", outcome="ok")
        return SignedIn(secret, _principal(user, row))

    def sign_out(self, secret: str) -> None:
        """End the session behind a cookie; nothing happens when it has ended before."""
        self._believed = {}
        with self._store.begin() as session:
            row = sessions.find(session, secret)
            if row is not None and sessions.end(session, row.digest):
                audit.append(session, self.audit_key, who=row.user, what="sign-out", outcome="ok")

    def prove_again(self, secret: str, password: str) -> SignedIn | None:
        """Step-up: the same person gives the password once more and gets a new session id; None = refused."""
        known = self.by_session(secret)
        user = self._user(known.name) if known else None
        if user is None or not passwords.verify(user.password_hash, password):
            return None
        self._believed = {}
        with self._store.begin() as session:
            rotated = sessions.rotate(session, secret)
        return SignedIn(rotated[0], _principal(user, rotated[1])) if rotated else None

    def proved_lately(self, principal: Principal) -> bool:
        """Whether the password was given within the last 15 minutes (tokens never are asked for one)."""
        if principal.kind is not Kind.USER:
            return True
        with self._store.reading() as session:
            rows = sessions.of_user(session, principal.name)
        mine = next((row for row in rows if row.digest == principal.session), None)
        return mine is not None and clock.now() - mine.proved_at <= STEP_UP

    def has_users(self) -> bool:
        """Whether anybody can sign in; until then `/setup` is open."""
        if not self._has_users:
            with self._store.reading() as session:
                self._has_users = users.count(session) > 0
        return self._has_users

    def make_first_admin(self, name: str, password: str, code: str) -> None:
        """Use the one-time code up. Raises BadInput for name or password, NotAllowed for the code."""
        if NAME.fullmatch(name) is None:
            raise BadInput("A name has 1 to 64 letters, digits, dots, dashes or @.", field="username")
        hashed = passwords.hash_password(password)
        with self._store.begin() as session:
            if users.count(session) > 0 or not settings.use_setup_code(session, code):
                raise NotAllowed("The code is not valid. The server printed it at its start.")
            users.add(session, name, "admin", hashed)
            audit.append(session, self.audit_key, who=name, what="setup", target=name, outcome="ok")

    # -- who is it -----------------------------------------------------------------------------------------

    def by_session(self, secret: str) -> Principal | None:
        """The person behind a session cookie; None when it ended or the person may no longer sign in."""
        now = self._monotonic()
        read_at, known = self._believed.get(secret, (0.0, None))
        if known is not None and now - read_at < _BELIEVED_SECONDS:
            return known
        found = self._read_session(secret)
        if found is not None:
            if len(self._believed) >= _MOST_BELIEVED:
                self._believed = {}
            self._believed[secret] = (now, found)
        return found

    def _read_session(self, secret: str) -> Principal | None:
        with self._store.reading() as session:
            row = sessions.find(session, secret)
            user = users.get(session, row.user) if row is not None else None
        if row is None or user is None or user.disabled:
            return None
        if sessions.stale(row):
            with self._store.begin() as session:
                sessions.touch(session, row.digest)
        return _principal(user, row)

    def by_token(self, text: str) -> Principal | None:
        """The program behind a bearer token; None for anything that is not a valid token."""
        with self._store.reading() as session:
            token = tokens.find(session, text)
            owner = users.get(session, token.owner) if token is not None else None
        if token is None or (owner is not None and owner.disabled):
            return None
        if tokens.stale(token):
            with self._store.begin() as session:
                tokens.touch(session, token.id)
        role = owner.role if owner is not None else ""
        return Principal(
            token_name(token.owner, token.name), role, frozenset(token.scopes), Kind.TOKEN, token.id
        )

    def why_ended(self, principal: Principal) -> str | None:
        """`signed-out` or `role-changed` when a person's session no longer stands as it did, else None."""
        with self._store.reading() as session:
            rows = sessions.of_user(session, principal.name)
            user = users.get(session, principal.name)
        if user is not None and user.role != principal.role:
            return "role-changed"
        living = user is not None and not user.disabled
        return None if living and any(row.digest == principal.session for row in rows) else "signed-out"

    # -- tokens --------------------------------------------------------------------------------------------

    def mint(
        self, principal: Principal, name: str, scopes: tuple[str, ...], expires_at: datetime
    ) -> tuple[str, Token]:
        """A new token of this person: its text (told once) and its row. Raises BadInput, NotAllowed."""
        for scope in scopes:
            _check_scope(principal, scope)
        with self._store.begin() as session:
            text, token = tokens.create(
                session, name=name, owner=principal.name, scopes=scopes, expires_at=expires_at
            )
            self._note(session, principal, "token.create", token)
        return text, token

    def revoke(self, principal: Principal, token_id: str) -> bool:
        """End one's own token, or anybody's as an admin; False when there is none."""
        with self._store.begin() as session:
            mine = None if principal.role == "admin" else principal.name
            found = next((one for one in tokens.all_tokens(session, mine) if one.id == token_id), None)
            if found is None or not tokens.revoke(session, token_id):
                return False
            self._note(session, principal, "token.revoke", found)
        return True

    def tokens(self, principal: Principal) -> list[Token]:
        """One's own tokens; everybody's for an admin."""
        with self._store.reading() as session:
            return tokens.all_tokens(session, None if principal.role == "admin" else principal.name)

    def _note(self, session: object, principal: Principal, what: str, token: Token) -> None:
        detail = {"token": token.id, "name": token.name, "scopes": list(token.scopes)}
        audit.append(
            session,  # type: ignore[arg-type]  # a Session, whose type only the store knows
            self.audit_key,
            who=principal.name,
            what=what,
            target=token.id,
            outcome="ok",
            detail=detail,
        )

    @property
    def audit_key(self) -> bytes:
        """The key that seals audit rows."""
        return self._key.reveal().encode()

    def _user(self, name: str) -> User | None:
        if NAME.fullmatch(name) is None:
            return None
        with self._store.reading() as session:
            return users.get(session, name)


def _principal(user: User, row: SessionRow) -> Principal:
    return Principal(user.name, user.role, frozenset(), Kind.USER, row.digest, row.csrf)


def _check_scope(principal: Principal, scope: str) -> None:
    """A token can do no more than its maker."""
    if scope in ROLES:
        if ROLES.index(scope) > ROLES.index(principal.role):
            raise NotAllowed("A token cannot have a higher role than its maker.")
    elif _SCOPE.fullmatch(scope) is None:
        raise BadInput("A scope is a role, read, ingest, or action:<kind>@<namespace>.", field="scopes")
    elif scope.startswith("action:") and not principal.allows("act"):
        raise NotAllowed("Your role does not include acting, so your token's cannot.")
