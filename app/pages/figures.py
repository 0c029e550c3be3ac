"""Figure templates: everything of a chart but its data, built once by plotly.graph_objects.

Colours are literals read from static/css/tokens.css, per theme, because Plotly draws its default where it meets
`var(--x)`. A page fetches the template once per build and fills it with columns (interface design, 5).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import orjson
from flask import Blueprint, Response, request

from app import paths
from app.errors import BadInput, NotFound
from app.web.access import requires

blueprint = Blueprint("figures", __name__)

_YEAR = "public, max-age=31536000, immutable"
_TOKEN = re.compile(r"--([a-z0-9-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)")
THEMES = ("light", "dark")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")

# Kind of figure -> (roles in order, unit of the value axis, hover format of a value).
_LINES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "rate": (("rps",), "requests per second", ".3~s"),
    "errors": (("error_ratio",), "share of requests", ".2~%"),
    "latency": (("p50", "p95", "p99"), "seconds", ".3~s"),
}
KINDS = (*_LINES, "latency_heatmap")
HEIGHT = 190

# Where an axis ends at least, so that nothing looks like something: 1 rps, 1 %, 50 ms.
_LEAST = {"rate": 1.0, "errors": 0.01, "latency": 0.05}
_DURATIONS = {
    0.0001: "0.1ms",
    0.001: "1ms",
    0.003: "3ms",
    0.01: "10ms",
    0.03: "30ms",
    0.1: "100ms",
    0.3: "300ms",
    1.0: "1s",
    3.0: "3s",
    10.0: "10s",
    30.0: "30s",
    100.0: "100s",
    1000.0: "1000s",
}
_MINUTE, _DAY = 60_000, 86_400_000
_CLOCK = [
    {"dtickrange": [None, _MINUTE], "value": "%H:%M:%S"},
    {"dtickrange": [_MINUTE, _DAY], "value": "%H:%M"},
    {"dtickrange": [_DAY, None], "value": "%-d %b"},
]


@cache
def colours(theme: str) -> dict[str, str]:
    """Token name -> colour literal of a theme."""
    text = (paths.static() / "css/tokens.css").read_text()
    place = 1 + THEMES.index(theme)
    return {found.group(1): found.group(place + 1) for found in _TOKEN.finditer(text)}


def _axis(ink: dict[str, str], **more: Any) -> dict[str, Any]:
    return {
        "color": ink["text2"],
        "gridcolor": ink["hairline"],
        "linecolor": ink["hairline"],
        "zeroline": False,
        "automargin": True,
        "tickfont": {"size": 11},
        **more,
    }


def _layout(theme: str, kind: str) -> dict[str, Any]:
    ink = colours(theme)
    heat = kind == "latency_heatmap"
    return {
        "template": {"layout": {}},
        "paper_bgcolor": ink["raised"],
        "plot_bgcolor": ink["sunken"] if heat else ink["raised"],
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": ink["text2"]},
        "margin": {"l": 44, "r": 36 if kind == "latency" else 12, "t": 8, "b": 28},
        "height": HEIGHT,
        "showlegend": False,
        "hovermode": "closest" if heat else "x unified",
        "hoverlabel": {
            "bgcolor": ink["raised"],
            "bordercolor": ink["control"],
            "font": {"color": ink["text"]},
        },
        "xaxis": _axis(ink, type="date", nticks=7, showgrid=False, tickformatstops=_CLOCK),
        "yaxis": _values(ink, kind),
    }


def _values(ink: dict[str, str], kind: str) -> dict[str, Any]:
    """The axis of the values: its unit, and from where it starts."""
    seconds = kind in ("latency", "latency_heatmap")
    more: dict[str, Any] = {"tickformat": ".2~%" if kind == "errors" else ".2~s", "nticks": 5}
    if seconds:
        more["ticksuffix"] = "s"
    if kind == "latency_heatmap":
        more |= {
            "type": "log",
            "showgrid": False,
            "tickvals": list(_DURATIONS),
            "ticktext": list(_DURATIONS.values()),
        }
    else:
        more["rangemode"] = "tozero"
    return _axis(ink, fixedrange=True, **more)


def _traces(theme: str, kind: str) -> dict[str, Any]:
    import plotly.graph_objects as go

    ink = colours(theme)
    if kind == "latency_heatmap":
        ramp = [[step / 5, ink[f"heat-{step}"]] for step in range(6)]
        made = go.Heatmap(colorscale=ramp, showscale=False, hoverongaps=False, zsmooth=False)
        made.hovertemplate = "%{x|%H:%M}, about %{y:.2~s}s: %{z:.3~s} rps<extra></extra>"
        return {"heat": made.to_plotly_json()}
    roles, _, form = _LINES[kind]
    traces = {}
    for place, role in enumerate(roles):
        suffix = "s" if kind == "latency" else ""
        made = go.Scatter(
            mode="lines",
            name=role,
            connectgaps=False,
            line={"color": ink[f"series-{place + 1}"], "width": 1.75, "dash": DASHES[place]},
            hovertemplate=f"%{{y:{form}}}{suffix}<extra>{role.replace('_', ' ')}</extra>",
        )
        traces[role] = made.to_plotly_json()
    return traces


@cache
def figure(kind: str, theme: str) -> bytes:
    """One template as JSON: kind, plotly.js version, traces by role, layout, config."""
    from plotly.offline import get_plotlyjs_version

    ink = colours(theme)
    return orjson.dumps(
        {
            "kind": kind,
            "plotlyjs": get_plotlyjs_version(),
            "traces": _traces(theme, kind),
            "layout": _layout(theme, kind),
            "least": _LEAST.get(kind),
            "mark": {"color": ink["text3"], "line": ink["text2"], "text": ink["text2"]},
            "config": {
                "displaylogo": False,
                "responsive": True,
                "modeBarButtons": [["resetScale2d", "toImage"]],
                "displayModeBar": "hover",
            },
        }
    )


@blueprint.get("/figures/<kind>.json")
@requires("read")
def show(kind: str) -> Response:
    """A figure template; immutable, its address carries the build."""
    theme = request.args.get("theme", "light")
    if kind not in KINDS:
        raise NotFound("There is no such figure.")
    if theme not in THEMES:
        raise BadInput("theme is light or dark", field="theme")
    answer = Response(figure(kind, theme), mimetype="application/json")
    answer.headers["Cache-Control"] = _YEAR
    return answer
