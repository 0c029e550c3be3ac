"""Reading from a Kubernetes API server: bodies stay bytes.

Every refusal is one of our errors with a sentence; messages of the server are cut, because they may embed whole
objects (reference: observed K19 to K24).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import urllib3

from app.clock import monotonic
from app.config import KubeAccess, Kubernetes
from app.errors import SourceError, SourceNonsense, SourceRefused, SourceUnavailable
from collectors.kube_connect import Connection, connect, printable, short_reason
from collectors.kube_protocol import read_status

MAX_PAGE = 128 * 1024 * 1024
MAX_LINE = 16 * 1024 * 1024
_PIECE = 65_536
_BIG_PIECE = 1024 * 1024
_CONNECT_SECONDS = 5.0


class Expired(SourceUnavailable):
    """The position or page token is too old (410): list again."""


class NotServed(SourceNonsense):
    """This API server does not have the kind, or the namespace (404)."""


class Forbidden(SourceRefused):
    """The account may not do this here (403)."""


class KubeApi:
    """One API server, read only. Configuration is loaded on first use, so that a bad kubeconfig is a state."""

    def __init__(self, access: Kubernetes | KubeAccess, *, agent: str = "quarterdeck") -> None:
        self._access = access
        self._agent = agent
        self._client: Connection | None = None
        self._guard = threading.Lock()

    @property
    def who(self) -> str:
        """How sentences call this server."""
        return f"Kubernetes at {self._client.host}" if self._client else "Kubernetes"

    def home_namespace(self) -> str:
        """The namespace of the kubeconfig's context or of the pod we run in; may be empty."""
        return self._connected().namespace

    def get(self, path: str, params: Mapping[str, str] | None = None, *, timeout: float = 30.0) -> bytes:
        """The body of a GET that succeeded. Raises SourceUnavailable, SourceRefused, SourceNonsense or their kin."""
        deadline = monotonic() + timeout
        with self._request(path, params or {}, (_CONNECT_SECONDS, timeout)) as response:
            body = self._read(response, deadline)
        self._judge(response, body)
        return body

    @contextmanager
    def stream(self, path: str, params: Mapping[str, str], *, idle: float) -> Iterator[Any]:
        """The open response of a watch; `idle` is the longest silence (seconds). Refusals as in `get`."""
        with self._request(path, params, (_CONNECT_SECONDS, idle)) as response:
            if response.status != 200:
                self._judge(response, self._read(response, monotonic() + _CONNECT_SECONDS))
            yield response

    def lines(self, response: Any) -> Iterator[bytes]:
        """Whole lines of a stream as they come; ends with the stream."""
        rest = b""
        while True:
            try:
                piece = response.read1(_PIECE)
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                raise self._broken(error) from error
            if not piece:
                return
            *whole, rest = (rest + piece).split(b"\n")
            if len(rest) > MAX_LINE:
                raise SourceNonsense(f"{self.who} sent a line without end")
            yield from (line for line in whole if line.strip())

    def close(self) -> None:
        """Free the connections."""
        with self._guard:
            client, self._client = self._client, None
        if client is not None:
            client.api.close()

    @contextmanager
    def _request(self, path: str, params: Mapping[str, str], timeout: tuple[float, float]) -> Iterator[Any]:
        client = self._connected().api
        request = client.param_serialize(
            method="GET",
            resource_path=path,
            query_params=list(params.items()),
            header_params={"Accept": "application/json"},
            auth_settings=["BearerToken"],
        )
        try:
            response = client.call_api(*request, _request_timeout=timeout).response
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._broken(error) from error
        except (
            Exception
        ) as error:  # the client wraps TLS faults and failing credential plugins in its own ways
            self._forget()
            raise SourceUnavailable(f"{self.who} cannot be asked: {short_reason(error)}") from error
        try:
            yield response
        finally:
            response.close()

    def _read(self, response: Any, deadline: float) -> bytes:
        """The whole body. One of known length is read in one go, which costs a fifth; others in pieces."""
        length = str(response.headers.get("Content-Length") or "")
        try:
            if (
                length.isdecimal()
                and int(length) <= MAX_PAGE
                and not response.headers.get("Content-Encoding")
            ):
                return bytes(response.read())
            return self._read_pieces(response, deadline)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._broken(error) from error

    def _read_pieces(self, response: Any, deadline: float) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := response.read1(_BIG_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_PAGE:
                raise SourceNonsense(f"{self.who} answered more than {MAX_PAGE // (1024 * 1024)} MiB")
            if monotonic() > deadline:
                raise SourceUnavailable(f"{self.who} did not finish its answer in time ({size} bytes came)")
        return b"".join(pieces)

    def _judge(self, response: Any, body: bytes) -> None:
        """Nothing for a success; our own error for everything else."""
        code = int(response.status)
        if code == 200:
            return
        if code == 401:
            self._forget()
        raise refusal(self.who, code, body)

    def _broken(self, error: BaseException) -> SourceError:
        if isinstance(error, (urllib3.exceptions.ReadTimeoutError, TimeoutError)):
            return SourceUnavailable(f"{self.who} has been silent for too long")
        if isinstance(error, urllib3.exceptions.DecodeError):
            return SourceNonsense(f"{self.who} answered something that is not encoded as announced")
        return SourceUnavailable(f"{self.who} cannot be reached: {short_reason(error)}")

    def _forget(self) -> None:
        """Read the credentials anew for the next request: they may have been renewed since."""
        with self._guard:
            self._client = None

    def _connected(self) -> Connection:
        with self._guard:
            if self._client is None:
                self._client = connect(self._access, self._agent)
            return self._client


def refusal(who: str, code: int, body: bytes) -> SourceError:
    """An answer that is not a success, as our error: causes first, text cut."""
    status = read_status(body)
    causes = (
        [c.message for c in (status.details.causes or ()) if c.message] if status and status.details else []
    )
    words = "; ".join(causes) or (status.message if status else None) or body[:200].decode("utf-8", "replace")
    sentence = f"{who}: {code} {printable(words)[:300]}".rstrip()
    if code == 401:
        return SourceRefused(f"{who} refused the credentials: renew them (401)")
    if code == 403:
        return Forbidden(sentence)
    if code == 404:
        return NotServed(sentence)
    if code == 410:
        return Expired(sentence)
    if code == 429 or code >= 500:
        return SourceUnavailable(sentence)
    return SourceNonsense(sentence)
