"""The build id, the addresses of static files, and the one import map of a build.

Files at `/static/<build id>/…` never change and are cached for a year; the build id is a hash over the files,
so a new build is a new address and relative ES imports inherit it.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

import orjson
from flask import Response, send_from_directory

from app import paths
from app.web.access import requires

_VENDORED = {"socket.io": "vendor/socket.io.js", "idiomorph": "vendor/idiomorph.js"}
_YEAR = "public, max-age=31536000, immutable"


@cache
def build_id(static: Path | None = None) -> str:
    """A short hash of every static file: the same tree gives the same id in every process."""
    root = static or paths.static()
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return "b" + digest.hexdigest()[:10]


def static_url(name: str) -> str:
    """The immutable address of a static file."""
    return f"/static/{build_id()}/{name}"


@cache
def import_map() -> str:
    """The JSON inside the page's only inline script; constant for a build, allowed by its hash."""
    imports = {name: static_url(path) for name, path in _VENDORED.items()}
    return orjson.dumps({"imports": imports}).decode()


@cache
def import_map_hash() -> str:
    """The CSP source expression that allows exactly `import_map()`."""
    digest = hashlib.sha256(import_map().encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@requires("public")
def serve_immutable(filename: str) -> Response:
    """A file under the present build id: kept for a year."""
    answer = send_from_directory(paths.static(), filename)
    answer.headers["Cache-Control"] = _YEAR
    return answer


@requires("public")
def serve_plain(filename: str) -> Response:
    """A file by its bare name, revalidated each time. An address of another build finds nothing here."""
    answer = send_from_directory(paths.static(), filename)
    answer.headers["Cache-Control"] = "no-cache"
    return answer
