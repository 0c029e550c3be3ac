"""static/vendor is what package.json pins, and fits what the server says about it."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest

import hatch_build

ROOT = Path(hatch_build.__file__).parent
VENDOR = ROOT / "static" / "vendor"


def test_every_vendored_file_is_the_pinned_one_with_its_licence():
    assert hatch_build.missing(ROOT) == []
    manifest = json.loads((VENDOR / "manifest.json").read_text())
    assert {one["file"] for one in manifest} == {*hatch_build.SERVED, "plotly.css"}
    for name in hatch_build.SERVED:
        assert (VENDOR / f"{name}.LICENSE").read_text().strip()


def test_versions_are_exact_and_locked():
    package = json.loads((ROOT / "package.json").read_text())
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    for name, wanted in (package["dependencies"] | package["devDependencies"]).items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", wanted)
        assert lock[f"node_modules/{name}"]["version"] == wanted
        assert lock[f"node_modules/{name}"]["integrity"].startswith("sha512-")


@pytest.mark.filterwarnings("ignore")
def test_the_python_and_the_browser_part_of_plotly_are_the_same_version():
    from plotly.offline import get_plotlyjs_version

    package = json.loads((ROOT / "package.json").read_text())
    assert get_plotlyjs_version() == package["dependencies"]["plotly.js-cartesian-dist-min"]
    assert version("plotly").split(".")[0] == "7"


def test_the_style_rules_of_plotly_are_read_from_its_table_in_the_order_of_insertion():
    table = (
        """{"X,X div":'font-family:"Open Sans",serif;',"X a":"color:red;",Y:"top:1px;","Y p":"margin:0;"}"""
    )
    bundle = f";var a={table};for(k in a)"
    assert hatch_build.plotly_css(bundle).splitlines() == [
        ".plotly-notifier p{margin:0;}",
        ".plotly-notifier{top:1px;}",
        ".js-plotly-plot .plotly a{color:red;}",
        '.js-plotly-plot .plotly,.js-plotly-plot .plotly div{font-family:"Open Sans",serif;}',
    ]
    assert len((VENDOR / "plotly.css").read_text().splitlines()) == 66


@pytest.mark.parametrize("bundle", ["no table", '{"X,X div":"a:b;",4:"c:d;"}'])
def test_a_bundle_of_another_form_is_refused_in_a_sentence(bundle):
    with pytest.raises(hatch_build.VendorError, match="look at the new version"):
        hatch_build.plotly_css(bundle)


def test_a_changed_or_missing_file_is_noticed(tmp_path):
    assert hatch_build.missing(tmp_path) == ["static/vendor has not been built"]
    place = tmp_path / "static" / "vendor"
    hatch_build.copy(ROOT / "node_modules", place)
    (tmp_path / "package.json").write_text((ROOT / "package.json").read_text())
    assert hatch_build.missing(tmp_path) == []
    (place / "idiomorph.js").write_text("something else")
    assert hatch_build.missing(tmp_path) == ["idiomorph.js is not idiomorph 0.8.0"]


def test_without_npm_a_build_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(hatch_build.VendorError, match=r"install Node\.js"):
        hatch_build.vendor(tmp_path)
