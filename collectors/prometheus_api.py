"""The connection to a Prometheus: one method per endpoint we use, its answers and refusals as our own types.

prometheus-api-client holds address, credentials and adapter; the bodies are read by ourselves, because it drops
warnings and result types and would wait for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from prometheus_api_client import PrometheusConnect
from urllib3.util.retry import Retry

from app.config import Prometheus
from app.errors import SourceError, SourceNonsense, SourceRefused, SourceStarting, SourceUnavailable
from collectors.http import Answer, exchange, open_session
from collectors.prometheus_wire import Answered, ApiError, open_envelope

MAX_POINTS = 11_000  # per series of one range query; Prometheus refuses more
_MARGIN = 0.9  # the server gives up a little before we do, so that its own words reach us


class _Replay(msgspec.Struct, frozen=True):
    current: int = 0
    max: int = 0


class _ReplayAnswer(msgspec.Struct):
    data: _Replay = _Replay()


class PrometheusApi:
    """One Prometheus, or an engine with its API. Methods raise SourceUnavailable, SourceRefused or SourceNonsense."""

    def __init__(self, settings: Prometheus) -> None:
        self.url = settings.url.rstrip("/")
        self.who = f"Prometheus at {self.url}"
        self.requests_sent = 0
        self._timeout = settings.query_timeout.total_seconds()
        self._session = open_session(self.url, tls=settings.tls, encoding=settings.accept_encoding)
        token = settings.bearer_token
        basic = (
            (settings.username, settings.password.reveal())
            if settings.username and settings.password
            else None
        )
        self._connection: Any = PrometheusConnect(
            url=self.url,
            headers={"Authorization": f"Bearer {token.reveal()}"} if token else None,
            auth=basic,
            session=self._session,
            retry=Retry(0, read=False, raise_on_status=False),
            timeout=self._timeout,
        )

    def close(self) -> None:
        """Free the connections."""
        self._connection.close()

    def query(self, text: str, *, at: datetime, timeout: float | None = None) -> Answered:
        """An instant query, evaluated at `at`; at most `timeout` seconds."""
        return self._ask("query", {"query": text, "time": f"{at.timestamp():.3f}"}, timeout)

    def query_range(
        self, text: str, *, start: datetime, end: datetime, step: timedelta, timeout: float | None = None
    ) -> Answered:
        """A range query over [start, end]; both ends are evaluated."""
        seconds = step.total_seconds()
        points = int((end - start).total_seconds() // seconds) + 1
        if points > MAX_POINTS:
            raise ValueError(f"{points} points: a range query answers at most {MAX_POINTS}")
        form = {
            "query": text,
            "start": f"{start.timestamp():.3f}",
            "end": f"{end.timestamp():.3f}",
            "step": f"{seconds:.3f}",
        }
        return self._ask("query_range", form, timeout)

    def label_values(self, label: str, *, match: Sequence[str], since: datetime, until: datetime) -> Answered:
        """Values of a label among series that match any selector."""
        return self._get(f"label/{label}/values", _spanning(match, since, until))

    def label_names(self, *, match: Sequence[str], since: datetime, until: datetime) -> Answered:
        """Names of labels among series that match any selector."""
        return self._get("labels", _spanning(match, since, until))

    def _ask(self, path: str, form: dict[str, str], timeout: float | None) -> Answered:
        seconds = min(timeout or self._timeout, self._timeout)
        form["timeout"] = f"{max(1, round(seconds * _MARGIN * 1000))}ms"
        return self._judge(self._exchange(path, seconds, form=form))

    def _get(self, path: str, query: Mapping[str, str | list[str]]) -> Answered:
        return self._judge(self._exchange(path, self._timeout, query=query))

    def _exchange(
        self,
        path: str,
        timeout: float,
        *,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str | list[str]] | None = None,
    ) -> Answer:
        self.requests_sent += 1
        return exchange(
            self._session,
            f"{self._connection.url}/api/v1/{path}",
            who=self.who,
            timeout=timeout,
            form=form,
            query=query,
            headers=self._connection.headers,
            auth=self._connection.auth,
        )

    def _judge(self, answer: Answer) -> Answered:
        """The data of a good answer; every other answer is an error of ours with the server's words."""
        if answer.status in {401, 403}:
            raise SourceRefused(f"{self.who} refused our credentials ({answer.status})")
        try:
            opened = open_envelope(answer.body)
        except SourceNonsense as error:
            raise self._foreign(answer, error) from error
        if isinstance(opened, ApiError):
            words = f"{self.who}: {opened.type or answer.status}: {opened.message}"
            late = answer.status >= 500 or answer.status == 429
            raise SourceUnavailable(words) if late else SourceNonsense(words)
        if answer.status >= 300:
            raise SourceNonsense(f"{self.who} answered {answer.status} with a success inside")
        return opened

    def _foreign(self, answer: Answer, error: SourceNonsense) -> SourceError:
        """An answer that is not the API's: starting, stopping, overloaded, or not a Prometheus at all."""
        if answer.status == 503:
            return self._not_ready(answer)
        if answer.status >= 500 or answer.status == 429:
            return SourceUnavailable(f"{self.who} answered {answer.status}")
        return SourceNonsense(f"{self.who} answered {answer.status} and {error}")

    def _not_ready(self, answer: Answer) -> SourceError:
        if "x-prometheus-stopping" in answer.headers:
            return SourceUnavailable(f"{self.who} is stopping")
        try:
            replay = self._exchange("status/walreplay", min(2.0, self._timeout))
            done = msgspec.json.decode(replay.body, type=_ReplayAnswer).data
        except (SourceError, msgspec.DecodeError, msgspec.ValidationError):
            return SourceUnavailable(f"{self.who} is not ready (503)")
        progress = f"{done.current} of {done.max} segments of its log read" if done.max else "reading its log"
        return SourceStarting(f"{self.who} is starting: {progress}")


def _spanning(match: Sequence[str], since: datetime, until: datetime) -> dict[str, str | list[str]]:
    return {
        "match[]": list(match),
        "start": f"{since.timestamp():.3f}",
        "end": f"{until.timestamp():.3f}",
    }
