"""One exchange with a trace backend: credentials, tenant, and what its refusals mean.

Backends say what is wrong in plain text and know an unknown trace in two ways; both are told apart here, once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from app import clock
from app.clock import monotonic
from app.config import TraceBackend
from app.errors import SourceNonsense, SourceRefused, SourceUnavailable
from collectors.http import Answer, exchange, open_session

_WORDS = 200
_USUAL_PAUSE, _MOST_PAUSE = 30.0, 300.0  # seconds that a Retry-After may silence us


class TraceHttp:
    """The connection to one backend. Not thread-safe."""

    def __init__(self, settings: TraceBackend, product: str) -> None:
        self.url = settings.url.rstrip("/")
        self.who = f"{product} at {self.url}"
        self._timeout = settings.query_timeout.total_seconds()
        self._session = open_session(self.url, tls=settings.tls, encoding="gzip")
        self._headers = {"X-Scope-OrgID": settings.tenant} if settings.tenant else {}
        if settings.bearer_token:
            self._headers["Authorization"] = f"Bearer {settings.bearer_token.reveal()}"
        given = settings.username and settings.password
        self._auth = (
            (settings.username or "", settings.password.reveal()) if given and settings.password else None
        )
        self._silent_until = 0.0

    def close(self) -> None:
        """Free the connections."""
        self._session.close()

    def get(
        self, path: str, query: Mapping[str, str] | None = None, *, accept: str = "application/json"
    ) -> bytes | None:
        """The body of a good answer, None for 404. Raises SourceUnavailable, SourceRefused, SourceNonsense.

        After a 429 nothing is sent before its Retry-After has passed.
        """
        left = self._silent_until - monotonic()
        if left > 0:
            raise SourceUnavailable(f"{self.who} asked for a pause; {math.ceil(left)} s of it are left")
        answer = exchange(
            self._session,
            self.url + path,
            who=self.who,
            timeout=self._timeout,
            query=dict(query or {}),
            headers={**self._headers, "Accept": accept},
            auth=self._auth,
        )
        return self._judged(answer)

    def _judged(self, answer: Answer) -> bytes | None:
        status = answer.status
        if status < 300:
            return answer.body
        if status == 404:
            return None
        if status in {401, 403}:
            raise SourceRefused(f"{self.who} refused our credentials ({status})")
        words = f"{self.who} answered {status}: {_said(answer.body)}"
        if status == 429:
            pause = _pause(answer.headers.get("retry-after", ""))
            self._silent_until = monotonic() + pause
            raise SourceUnavailable(f"{words}; asked again in {math.ceil(pause)} s")
        if status >= 500:
            raise SourceUnavailable(words)
        raise SourceNonsense(words)


def _pause(retry_after: str) -> float:
    """Seconds of a Retry-After (RFC 9110 10.2.3: a number or a date); nonsense counts as half a minute."""
    if retry_after.isascii() and retry_after.isdecimal():
        return min(float(retry_after[:9]), _MOST_PAUSE)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return _USUAL_PAUSE
    return min(max((until - clock.now()).total_seconds(), 1.0), _MOST_PAUSE) if until.tzinfo else _USUAL_PAUSE


def _said(body: bytes) -> str:
    text = body[:_WORDS].decode("utf-8", "replace").strip()
    return "".join(c if c.isprintable() else " " for c in text) or "no reason given"
