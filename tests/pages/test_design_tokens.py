"""The figures of the interface design (11), recomputed from tokens.css."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from app import paths

CSS = paths.static() / "css"
TOKENS = {
    name: (light, dark)
    for name, light, dark in re.findall(
        r"--([a-z0-9-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", (CSS / "tokens.css").read_text()
    )
}
LIGHT, DARK = 0, 1
HEALTH = ("crit", "warn", "unknown", "maint", "idle", "ok")

# Machado, Oliveira, Fernandes: A physiologically-based model for simulation of color vision deficiency
# (2009), severity 1.0.
VISION = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# Björn Ottosson: A perceptual color space for image processing (2020).
TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def linear(colour: str) -> np.ndarray:
    srgb = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2: ratio of relative luminances."""
    a, b = sorted((float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other)), reverse=True)
    return (a + 0.05) / (b + 0.05)


def oklab(colour: str, vision: str) -> np.ndarray:
    seen = np.clip(VISION[vision] @ linear(colour), 0, 1)
    return TO_LAB @ np.cbrt(TO_LMS @ seen)


def grounds(theme: int) -> tuple[str, str]:
    return TOKENS["bg"][theme], TOKENS["sunken" if theme == LIGHT else "raised"][theme]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("name", ["text", "text2", "text3", "accent"])
def test_every_text_colour_reaches_4_5_on_every_ground(name, theme):
    for ground in (*grounds(theme), TOKENS["page"][theme]):
        assert contrast(TOKENS[name][theme], ground) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize(
    "name", [*HEALTH, "control", "focus", "series-1", "series-2", "series-3", "series-4", "series-5"]
)
def test_every_mark_border_and_series_reaches_3_on_every_ground(name, theme):
    for ground in grounds(theme):
        assert contrast(TOKENS[name][theme], ground) >= 3


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("name", [*HEALTH, "accent"])
def test_text_on_a_solid_fill_reaches_4_5(name, theme):
    assert contrast(TOKENS[f"on-{name}"][theme], TOKENS[name][theme]) >= 4.5


@pytest.mark.parametrize(
    ("name", "light", "dark"),
    [
        ("text", (17.30, 16.14), (15.71, 14.43)),
        ("text3", (5.43, 5.06), (7.10, 6.52)),
        ("accent", (5.82, 5.43), (8.48, 7.79)),
        ("crit", (8.19, 7.64), (5.24, 4.81)),
        ("warn", (3.31, 3.09), (10.14, 9.31)),
        ("unknown", (7.84, 7.31), (8.27, 7.60)),
        ("maint", (5.11, 4.77), (5.19, 4.76)),
        ("ok", (3.58, 3.34), (15.04, 13.81)),
        ("hairline", (1.41, 1.31), (1.46, 1.34)),
    ],
)
def test_the_published_ratios_are_true(name, light, dark):
    for theme, wanted in ((LIGHT, light), (DARK, dark)):
        found = [round(contrast(TOKENS[name][theme], ground), 2) for ground in grounds(theme)]
        assert found == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize(("theme", "worst"), [(LIGHT, 11.5), (DARK, 12.9)])
def test_health_colours_stay_apart_for_colour_blind_readers(theme, worst):
    marks = [TOKENS[name][theme] for name in HEALTH if name != "idle"]
    distances = [
        100 * float(np.linalg.norm(oklab(one, vision) - oklab(other, vision)))
        for vision in VISION
        for one, other in combinations(marks, 2)
    ]
    assert min(distances) == pytest.approx(worst, abs=0.15)
    assert min(distances) >= 10


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_heatmap_ramp_is_monotone_in_lightness(theme):
    ramp = [oklab(TOKENS[f"heat-{step}"][theme], "normal")[0] for step in range(6)]
    assert ramp == sorted(ramp, reverse=theme == LIGHT)


def test_no_other_file_names_a_colour():
    found = {
        sheet.name: re.findall(r"#[0-9a-fA-F]{3,8}\b(?![-\w])", sheet.read_text())
        for sheet in CSS.glob("*.css")
        if sheet.name != "tokens.css"
    }
    assert {name: colours for name, colours in found.items() if colours} == {}


def test_every_token_that_is_used_exists():
    defined = set(re.findall(r"--([a-z0-9-]+):", "".join(sheet.read_text() for sheet in CSS.glob("*.css"))))
    used = set(re.findall(r"var\(--([a-z0-9-]+)", "".join(sheet.read_text() for sheet in CSS.glob("*.css"))))
    assert used <= defined


def test_every_style_sheet_stands_in_a_layer():
    for sheet in sorted(Path(CSS).glob("*.css")):
        outside = re.sub(r"/\*.*?\*/", "", sheet.read_text(), flags=re.S).strip()
        assert outside.startswith("@layer "), sheet.name
