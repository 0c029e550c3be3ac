from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from app import paths
from app.pages import figures

PAIRS = [(kind, theme) for kind in figures.KINDS for theme in figures.THEMES]


def made(kind: str, theme: str = "light") -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(figures.figure(kind, theme))
    return found


def literals(value: Any) -> set[str]:
    """Every colour in a figure."""
    return set(re.findall(r"#[0-9a-fA-F]{3,8}\b|rgba?\([^)]*\)|var\([^)]*\)", orjson.dumps(value).decode()))


@pytest.mark.parametrize(("kind", "theme"), PAIRS)
def test_every_colour_is_a_token_of_that_theme(kind, theme):
    text = (paths.static() / "css/tokens.css").read_text()
    place = figures.THEMES.index(theme)
    tokens = {pair[place] for pair in re.findall(r"light-dark\((#\w+), (#\w+)\)", text)}
    assert literals(made(kind, theme)) <= tokens
    assert len(literals(made(kind, theme))) >= 4


def test_the_themes_differ():
    assert not literals(made("latency", "light")) & literals(made("latency", "dark"))


@pytest.mark.parametrize(("kind", "theme"), PAIRS)
def test_a_template_holds_no_data_and_not_plotlys_own_template(kind, theme):
    figure = made(kind, theme)
    for trace in figure["traces"].values():
        assert not {"x", "y", "z", "text", "customdata"} & trace.keys()
    assert figure["layout"]["template"] == {"layout": {}}
    assert len(figures.figure(kind, theme)) < 4_000


@pytest.mark.parametrize("kind", figures.KINDS)
def test_a_gap_stays_a_gap_and_nothing_is_drawn_by_webgl(kind):
    for trace in made(kind)["traces"].values():
        assert trace["type"] in ("scatter", "heatmap")
        assert trace.get("connectgaps", False) is False


def test_lines_differ_by_their_dashes_too():
    dashes = [trace["line"]["dash"] for trace in made("latency")["traces"].values()]
    assert len(set(dashes)) == len(dashes) == 3


@pytest.mark.parametrize("kind", figures.KINDS)
def test_no_text_of_a_template_holds_markup_but_the_end_of_a_label(kind):
    texts = re.findall(r"<[^>]*>", figures.figure(kind, "light").decode())
    assert set(texts) <= {"<extra>", "</extra>"}


def test_the_ramp_goes_from_the_first_to_the_last_heat_colour():
    ink = figures.colours("dark")
    ramp = made("latency_heatmap", "dark")["traces"]["heat"]["colorscale"]
    assert [colour for _, colour in ramp] == [ink[f"heat-{step}"] for step in range(6)]
    assert made("latency_heatmap")["traces"]["heat"]["showscale"] is False


def test_a_template_is_served_for_a_year_and_says_its_library_version(site):
    answer = site.client("bob").get("/figures/rate.json?theme=dark&v=1")
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.json["plotlyjs"] == made("rate")["plotlyjs"]


@pytest.mark.parametrize(("path", "status"), [("pie.json", 404), ("rate.json?theme=pink", 400)])
def test_another_figure_or_theme_is_refused(site, path, status):
    assert site.client("bob").get(f"/figures/{path}").status_code == status
