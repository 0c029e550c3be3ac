"""Kubernetes quantities ("250m", "256Mi", "2") as numbers."""

from __future__ import annotations

import re
from decimal import Decimal

_FORM = re.compile(r"([+-]?[0-9.]+)(?:[eE]([+-]?[0-9]+)|(m|k|K|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|n|u))?")
_SCALE = {"": Decimal(1), "m": Decimal("0.001"), "u": Decimal("0.000001"), "n": Decimal("0.000000001")}
_SCALE |= {"K": Decimal(1000)}
_SCALE |= {letter: Decimal(1000) ** (i + 1) for i, letter in enumerate("kMGTPE")}
_SCALE |= {f"{letter}i": Decimal(1024) ** (i + 1) for i, letter in enumerate("KMGTPE")}


def number(quantity: object) -> Decimal | None:
    """The number, None for what is no quantity (source: Kubernetes API reference, resource.Quantity)."""
    match = _FORM.fullmatch(str(quantity).strip()) if quantity is not None else None
    if match is None:
        return None
    exponent = Decimal(10) ** int(match[2]) if match[2] else _SCALE[match[3] or ""]
    try:
        return Decimal(match[1]) * exponent
    except ArithmeticError:
        return None
