"""A web application over a fresh SQLite store, with a cast of users and templates of one line each."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from jinja2 import ChoiceLoader, DictLoader
from werkzeug.test import TestResponse

from app.config import Auth, Config, Secret, load
from app.factory import create_app
from app.store import sessions, tokens, users
from app.store.engine import Store
from app.web.accounts import Accounts

PASSWORD = "correct horse battery staple"
KEY = Secret("k" * 48)
CAST = {"alice": "responder", "bob": "viewer", "carol": "approver", "ada": "admin"}
TEMPLATES = {
    "pages/login.html": "<title>login</title>{{ message }}|{{ next }}|{{ locked_seconds }}|{{ username }}",
    "pages/setup.html": "<title>setup</title>{{ message }}|{{ errors }}",
    "pages/error.html": "<title>error</title>{{ status }}|{{ title }}|{{ message }}|{{ cure }}|{{ request_id }}",
}
OWN_BLUEPRINTS = ("app.pages.login:blueprint", "app.pages.setup:blueprint")


class Ticking:
    """A monotonic clock that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Site:
    """An application with its parts, and short ways to act as somebody."""

    app: Flask
    store: Store
    config: Config
    time: Ticking
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def parts(self) -> Any:
        return self.app.extensions["quarterdeck"]

    def client(self, name: str | None = None) -> FlaskClient:
        """A browser; signed in as one of the cast when a name is given."""
        client = self.app.test_client()
        if name is not None:
            secret, row = self.sign_in(name)
            client.set_cookie("qd_dev", secret)
            client.environ_base["HTTP_X_QD_CSRF"] = row.csrf
        return client

    def sign_in(self, name: str) -> tuple[str, Any]:
        with self.store.begin() as session:
            return sessions.start(session, name)

    def token(self, *scopes: str, owner: str = "ada") -> dict[str, str]:
        """Headers of a program with these scopes."""
        from datetime import timedelta

        from app.clock import now

        with self.store.begin() as session:
            text, _ = tokens.create(
                session, name="ci", owner=owner, scopes=scopes, expires_at=now() + timedelta(days=1)
            )
        return {"Authorization": f"Bearer {text}"}


@cache
def _hashed() -> str:
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


@cache
def _migrated() -> Path:
    place = Path(tempfile.mkdtemp(prefix="quarterdeck-test-"))
    store = Store("sqlite:///fresh.db", place)
    store.migrate()
    store.dispose()
    return place / "fresh.db"


def make_store(place: Path, seed: Path | None = None) -> Store:
    """A migrated store: empty, or a copy of `seed` (a store that was disposed of)."""
    shutil.copyfile(seed or _migrated(), place / "fresh.db")
    return Store("sqlite:///fresh.db", place)


def make_config(place: Path, **over: Any) -> Config:
    """A configuration with a fixed key; `over` replaces whole sections."""
    config = load(None, state_dir=place)
    return replace(config, **({"secret_key": KEY} | over))


def make_site(
    place: Path,
    *,
    cast: bool = True,
    blueprints: tuple[str, ...] | None = OWN_BLUEPRINTS,
    own_templates: bool = True,
    anonymous: str = "none",
    otlp: Any = None,
    seed: Path | None = None,
    **over: Any,
) -> Site:
    """An application over a fresh store; `blueprints=None` serves everything there is."""
    store = make_store(place, seed)
    config = make_config(place, **({"auth": Auth(anonymous=anonymous)} | over))
    if cast:
        with store.begin() as session:
            for name, role in CAST.items():
                users.add(session, name, role, _hashed())
    time = Ticking()
    app = create_app(config, store, monotonic=time, blueprints=blueprints, otlp=otlp)
    if own_templates:
        app.jinja_loader = ChoiceLoader([DictLoader(TEMPLATES), app.jinja_loader])
    return Site(app, store, config, time)


def accounts_of(site: Site) -> Accounts:
    """The accounts of a site."""
    found: Accounts = site.parts.accounts
    return found


def json_of(answer: TestResponse) -> Any:
    """The JSON of an answer, whatever its media type."""
    import orjson

    return orjson.loads(answer.get_data())
