"""The one way out: a requests session with certificates and identity encoding, and one bounded exchange.

Every foreign HTTP source of the collectors passes here, except Kubernetes, whose client brings its own pool.
No environment credentials (netrc) are read; redirects are refused, so that a token never travels elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import requests
from requests.utils import get_environ_proxies

from app.clock import monotonic
from app.config import Tls
from app.errors import SourceNonsense, SourceUnavailable

MAX_BODY = 64 * 1024 * 1024
_PIECE = 256 * 1024
_CONNECT_SECONDS = 3.0


class AnswerTooLarge(SourceNonsense):
    """The body is larger than we read; a smaller question may help."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, lower-cased headers and the whole body of one exchange."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def open_session(
    url: str, *, tls: Tls, encoding: str = "identity", agent: str = "quarterdeck"
) -> requests.Session:
    """A session towards `url`: its certificates, its encoding, proxies of the environment, no netrc."""
    session = requests.Session()
    session.trust_env = False
    session.proxies = dict(get_environ_proxies(url))
    session.headers.update({"Accept-Encoding": encoding, "User-Agent": agent})
    session.verify = str(tls.ca_file) if tls.ca_file else True
    if tls.cert_file:
        session.cert = (str(tls.cert_file), str(tls.key_file)) if tls.key_file else str(tls.cert_file)
    return session


def exchange(
    session: requests.Session,
    url: str,
    *,
    who: str,
    timeout: float,
    form: Mapping[str, str] | None = None,
    query: Mapping[str, str | list[str]] | None = None,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    max_body: int = MAX_BODY,
) -> Answer:
    """POST `form`, or GET without one. `timeout` (seconds) bounds the whole exchange, `max_body` the decoded bytes.

    `who` begins the sentence of an error. Raises SourceUnavailable (nobody, too late, cut off) and
    SourceNonsense (too big, a redirect, not HTTP); every status below 300 or above 399 is an answer.
    """
    deadline = monotonic() + timeout
    try:
        with session.request(
            "GET" if form is None else "POST",
            url,
            params=query,
            data=form,
            headers=headers,
            auth=auth,
            timeout=(min(_CONNECT_SECONDS, timeout), timeout),
            allow_redirects=False,
            stream=True,
        ) as response:
            if response.is_redirect:
                raise SourceNonsense(
                    f"{who} answered with a redirect to {_cut(response.headers['location'])}: configure that address"
                )
            body = _read(response, who, deadline, max_body)
            return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body)
    except requests.exceptions.Timeout as error:
        raise SourceUnavailable(f"{who} did not answer within {timeout:.3g} s") from error
    except requests.exceptions.ConnectionError as error:
        raise SourceUnavailable(f"{who} cannot be reached: {_cause(error)}") from error
    except (requests.exceptions.ContentDecodingError, requests.exceptions.InvalidHeader) as error:
        raise SourceNonsense(
            f"{who} answered something that is not HTTP as announced: {_cause(error)}"
        ) from error
    except (requests.exceptions.RequestException, OSError) as error:
        raise SourceUnavailable(f"{who} cannot be asked: {_cause(error)}") from error


def _read(response: requests.Response, who: str, deadline: float, max_body: int) -> bytes:
    """The whole body in pieces: a trickle ends at the deadline, a flood at `max_body`."""
    pieces: list[bytes] = []
    size = 0
    for piece in response.iter_content(_PIECE):
        size += len(piece)
        if size > max_body:
            raise AnswerTooLarge(f"{who} answered more than {max_body // (1024 * 1024)} MiB")
        if monotonic() > deadline:
            raise SourceUnavailable(f"{who} did not finish its answer in time ({size} bytes came)")
        pieces.append(piece)
    return b"".join(pieces)


def _cause(error: BaseException) -> str:
    """The innermost reason in a few words: 'Connection refused' rather than three wrapped reprs."""
    inner: BaseException = error
    while (deeper := getattr(inner, "reason", None) or inner.__cause__ or inner.__context__) is not None:
        if not isinstance(deeper, BaseException):
            break
        inner = deeper
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return _cut(str(inner) or type(inner).__name__)


def _cut(text: str) -> str:
    """Foreign text, printable and short."""
    return "".join(c if c.isprintable() else "?" for c in text[:200])
