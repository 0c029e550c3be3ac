"""The wheel as somebody gets it: with pages, styles, scripts and migrations inside, or not at all."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import requests

from tests.support.running import running

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("app", "collectors", "alerts", "demo", "static", "templates", "migrations")
FILES = (
    "pyproject.toml",
    "hatch_build.py",
    "package.json",
    "package-lock.json",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
)


def build(source, target, *, path=None):
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target)]
    env = os.environ | ({"PATH": str(path)} if path else {})
    return subprocess.run(command, cwd=source, env=env, capture_output=True, text=True, timeout=100)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Wheel and source distribution of a copy of the project, made side by side."""
    copy, target = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for name in PARTS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)
    done = build(copy, target)
    assert done.returncode == 0, done.stderr
    return target


def test_the_wheel_serves_pages_with_their_styles_and_scripts(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    site = tmp_path / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        site,
        wheel,
    ]
    subprocess.run(install, check=True, timeout=100)
    serve = [
        sys.executable,
        "-m",
        "app.cli",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--state-dir",
        str(tmp_path),
    ]
    with running(*serve, cwd=tmp_path, PYTHONPATH=str(site)) as process:
        address = process.address()
        page = requests.get(f"{address}/login", timeout=10).text
        styles = [part.split('"')[0] for part in page.split('<link rel="stylesheet" href="')[1:]]
        assert styles
        for name in (*styles, "/static/vendor/plotly-cartesian.js", "/static/vendor/socket.io.js"):
            assert requests.get(f"{address}{name}", timeout=10).status_code == 200, name
        assert process.end() == 0
    assert sys.prefix not in process.errors


def test_the_source_distribution_holds_all_that_a_wheel_is_made_of(built, tmp_path):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    done = build(source, tmp_path / "again", path=_path_without_npm(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (source / "static" / "vendor" / "manifest.json").exists()


def test_without_the_browser_libraries_nothing_is_built_and_one_sentence_says_why(built, tmp_path):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    shutil.rmtree(source / "static" / "vendor")
    done = build(source, tmp_path / "again", path=_path_without_npm(tmp_path))
    assert done.returncode != 0
    assert "npm is needed to fetch the browser libraries" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "again").glob("*"))


def _path_without_npm(tmp_path):
    empty = tmp_path.parent / f"{tmp_path.name}-path"
    empty.mkdir(exist_ok=True)
    return empty
