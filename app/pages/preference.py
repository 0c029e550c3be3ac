"""What a viewer prefers, kept in one readable cookie: theme, density, zone, keys, calm, hidden healthy.

Nothing here is secret or trusted: every value is one of a list, what is not falls back to its default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, tzinfo
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo, available_timezones

from flask import Response, g, request

COOKIE = "qd_prefs"
THEMES = ("system", "light", "dark")
DENSITIES = ("normal", "compact")
_YEAR = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Preferences:
    """`keys` = single-key shortcuts are on; `calm` = live values only when asked; `quiet` = hide healthy."""

    theme: str = "system"
    density: str = "normal"
    zone: str = "UTC"
    keys: bool = True
    calm: bool = False
    quiet: bool = False

    @property
    def key(self) -> str:
        """The preferences as one text, for cookies and cache keys."""
        plain = Preferences()
        return urlencode(
            {
                one.name: _text(getattr(self, one.name))
                for one in fields(self)
                if getattr(self, one.name) != getattr(plain, one.name)
            }
        )


def parse(text: str) -> Preferences:
    """Preferences from the cookie's text; unknown names and values are dropped."""
    found = Preferences()
    for name, value in parse_qsl(text[:500], keep_blank_values=True):
        if name == "theme" and value in THEMES:
            found = replace(found, theme=value)
        elif name == "density" and value in DENSITIES:
            found = replace(found, density=value)
        elif name == "zone" and is_zone(value):
            found = replace(found, zone=value)
        elif name in _TICKS and value in ("0", "1"):
            found = _TICKS[name](found, value == "1")
    return found


_TICKS: dict[str, Callable[[Preferences, bool], Preferences]] = {
    "keys": lambda found, on: replace(found, keys=on),
    "calm": lambda found, on: replace(found, calm=on),
    "quiet": lambda found, on: replace(found, quiet=on),
}


def current() -> Preferences:
    """Those of this request."""
    if "preferences" not in g:
        g.preferences = parse(request.cookies.get(COOKIE, "").replace(".", "&"))
    found: Preferences = g.preferences
    return found


def keep(answer: Response, chosen: Preferences, *, secure: bool) -> None:
    """Remember them for a year; scripts may read the cookie (it holds no secret)."""
    value = chosen.key.replace("&", ".")
    answer.set_cookie(COOKIE, value, max_age=_YEAR, samesite="Lax", secure=secure, path="/")


def zones() -> tuple[str, ...]:
    """Names of time zones to choose from, UTC first."""
    return (
        "UTC",
        *sorted(name for name in _zones() if "/" in name and not name.startswith(("Etc/", "SystemV/"))),
    )


def is_zone(name: str) -> bool:
    """Whether this is a zone we know."""
    return name == "UTC" or name in _zones()


def zone_of(name: str) -> tzinfo:
    """The zone of that name; UTC when this machine does not know it."""
    return ZoneInfo(name) if name != "UTC" and is_zone(name) else UTC


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _text(value: str | bool) -> str:
    return str(int(value)) if isinstance(value, bool) else value


def hiding(*, healthy: bool) -> Preferences:
    """The present preferences, with healthy services hidden or shown."""
    return replace(current(), quiet=healthy)


def of_form(form: Mapping[str, str]) -> Preferences:
    """Preferences from the settings form; a box that is not ticked is not sent."""
    texts = {name: form.get(name, "") for name in ("theme", "density", "zone")}
    ticks = {name: str(int(name in form)) for name in ("keys", "calm")}
    quiet = str(int(current().quiet))
    return parse(urlencode({**texts, **ticks, "quiet": quiet}))
