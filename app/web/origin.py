"""Where a request may come from: our own origins, loopback peers, and the gate before `/socket.io/`.

Flask's hooks do not run for `/socket.io/`, and Socket.IO's own origin check accepts a missing Origin, JSONP
and, with an empty list, everybody; hence the WSGI gate (measured; reference: security, section 5).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, urlsplit

from app.config import Server
from app.web.headers import security_headers

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_UNSAFE_SITES = frozenset({"cross-site", "same-site"})


def split_listen(listen: str) -> tuple[str, str]:
    """Host and port of `HOST:PORT`; the host of an IPv6 address without its brackets."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), port


def is_loopback(host: str) -> bool:
    """Whether a host or address literal can only be this machine."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def allowed_origins(server: Server) -> list[str]:
    """Every origin our own pages can have; never empty. From the public address and the listening one."""
    origins: list[str] = []
    if server.external_url:
        origins.append(_origin_of(server.external_url))
    host, port = split_listen(server.listen)
    if is_loopback(host):
        names: tuple[str, ...] = _LOOPBACK_NAMES
    elif host in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        names = (*_LOOPBACK_NAMES, socket.gethostname().lower())
    else:
        names = (f"[{host}]" if ":" in host else host.lower(),)
    origins += [_origin_of(f"http://{name}:{port}") for name in names]
    return list(dict.fromkeys(origins))


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def foreign(origin: str | None, fetch_site: str | None, allowed: Iterable[str]) -> bool:
    """Whether a browser says that the request comes from a page that is not ours.

    Both headers absent means a program (browsers send at least one); other checks apply to it.
    """
    if fetch_site in _UNSAFE_SITES:
        return True
    return origin is not None and origin not in allowed


def from_loopback(environ: Environ, listen: str) -> bool:
    """The loopback convention: we listen on loopback, the peer is loopback, and the Host header says so too.

    The Host check stops DNS rebinding; a forwarding header means that a proxy stands between, so that the
    peer's address proves nothing. A server with several listeners names the one in `quarterdeck.listener`.
    """
    listener = environ.get("quarterdeck.listener", listen)
    host = urlsplit("//" + environ.get("HTTP_HOST", "")).hostname or ""
    relayed = any(environ.get(name) for name in ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_VIA"))
    parties = (split_listen(listener)[0], environ.get("REMOTE_ADDR", ""), host)
    return not relayed and all(is_loopback(party) for party in parties)


class SocketGate:
    """WSGI wrapper: refuses foreign and JSONP handshakes under `/socket.io/`, adds the security headers.

    Wraps the whole stack outside Socket.IO's own middleware.
    """

    def __init__(self, inner: WsgiApp, origins: list[str], *, secure: bool) -> None:
        if not isinstance(origins, list) or not origins:
            raise ValueError(
                "the list of allowed origins must not be empty: Socket.IO would accept everybody"
            )
        self._inner, self._origins, self._secure = inner, frozenset(origins), secure

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Let everything else through untouched."""
        if not environ.get("PATH_INFO", "").startswith("/socket.io"):
            return self._inner(environ, start_response)
        refusal = self._refusal(environ)
        if refusal is not None:
            return self._refuse(refusal, start_response)
        for name in ("HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO"):
            environ.pop(name, None)  # Engine.IO would believe them when it looks for its own origin
        return self._inner(environ, self._with_headers(start_response))

    def _refusal(self, environ: Environ) -> str | None:
        origin, site = environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE")
        if "j" in parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True):
            return "JSONP is not served."
        if foreign(origin, site, self._origins):
            return "This origin is not ours."
        upgrade = environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        if origin is None and (upgrade or environ.get("REQUEST_METHOD") != "GET"):
            return "An Origin header is needed."
        return None

    def _refuse(self, why: str, start_response: StartResponse) -> Iterable[bytes]:
        body = why.encode()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response("403 Forbidden", [*headers, *security_headers(secure=self._secure)])
        return [body]

    def _with_headers(self, start_response: StartResponse) -> StartResponse:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            extra = [*security_headers(secure=self._secure), ("Cache-Control", "no-store")]
            ours = {name.lower() for name, _ in extra}
            kept = [pair for pair in headers if pair[0].lower() not in ours]
            return start_response(status, kept + extra, *rest)

        return start
