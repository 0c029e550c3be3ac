"""Recorded answers of real systems under tests/recorded, plain or gzipped JSON."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1] / "recorded"


def files(area: str, pattern: str) -> list[Path]:
    """Recorded files below an area, sorted; none is an error of the caller."""
    found = sorted((ROOT / area).glob(pattern))
    if not found:
        raise FileNotFoundError(f"no {pattern} below {ROOT / area}")
    return found


def load(path: Path) -> Any:
    """The recording as it was kept."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return json.loads(raw)


def body(recording: dict[str, Any]) -> bytes:
    """What the server sent, as bytes."""
    if "text" in recording:
        return str(recording["text"]).encode()
    return json.dumps(recording.get("body")).encode()
