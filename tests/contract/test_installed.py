"""The package as it is installed: what the wheel and the sdist hold, and what type checkers make of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIZE = 1_600_000  # bytes; of both some 1.2 million when this was written
NEEDED = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "CHANGELOG.md")
NOT_INSTALLED = ("tests", "paper", "benchmarks", "docs", "examples")
BUILD = "from setuptools import build_meta as b; print(b.build_sdist('out')); print(b.build_wheel('out'))"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with a wheel and an sdist of a copy of the sources."""
    version = metadata.version("setuptools")
    if int(version.partition(".")[0]) < 77:
        pytest.skip(f"building needs setuptools 77 or later; there is {version}")
    folder = tmp_path_factory.mktemp("sources")
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "_build", "results", "*.pdf", "*.sqlite")
    for name in ("saem", "experiments", *NOT_INSTALLED):
        shutil.copytree(ROOT / name, folder / name, ignore=leave)
    for name in NEEDED:
        shutil.copy(ROOT / name, folder / name)
    run = subprocess.run([sys.executable, "-c", BUILD], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    return folder / "out"


@pytest.fixture(scope="module")
def unpacked(built, tmp_path_factory):
    """The files of the wheel, as they are installed."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(folder)
    return folder


def sources(folder):
    """The files of the sources that belong to the package."""
    kinds = (".py", ".toml", ".csv", ".typed", ".mplstyle", ".html")
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.suffix in kinds}


def test_the_wheel_holds_the_package_and_nothing_else(built, unpacked):
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert {name.partition("/")[0] for name in names} == {"saem", "saem_experiments", "saem-0.1.0.dist-info"}
    assert {name for name in names if name.startswith("saem/")} == sources("saem") | {"saem/py.typed"}
    assert {name for name in names if name.startswith("saem_experiments/")} == {
        name.replace("experiments/", "saem_experiments/", 1) for name in sources("experiments")
    }
    assert next(built.glob("*.whl")).stat().st_size < SIZE


def test_the_sdist_holds_what_it_takes_to_build_it(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= sources("saem") | sources("experiments") | {"pyproject.toml", "setup.py", "README.md", "LICENSE"}
    assert not {name.partition("/")[0] for name in names} & set(NOT_INSTALLED)
    assert path.stat().st_size < SIZE


def test_what_is_installed_runs(unpacked, tmp_path):
    """Tables and recipes are found in it, and not those of the sources."""
    code = (
        "import saem; print(saem.__file__); from saem.cli import main; import sys;"
        "sys.argv[1:] = ['recipe', 'emax', '--with-data']; main()"
    )
    environment = os.environ | {"PYTHONPATH": str(unpacked)}
    shown = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, env=environment, text=True)
    assert shown.startswith(str(unpacked))
    assert {path.name for path in tmp_path.iterdir()} == {"emax.toml", "emax.csv"}


RIGHT = """
from __future__ import annotations

import pandas as pd

import saem
from saem.errors import SaemError

table: pd.DataFrame = saem.datasets.load("peptide")
model = saem.Model.from_toml("peptide.toml")
other: saem.Model = model.replace(fixed={"b21": 0.0})
fit: saem.Fit = saem.fit(model, table, method="saem", seed=1)
print(fit.summary(t_tests=True), fit.glance(), fit.to_frame(), fit.estimates, fit.values.sum(), fit.status)
found = saem.compare(other, table, ["saem", "ml"], repeats=2)
best: float = found.maximum
drawn: pd.DataFrame = saem.simulate(model, {"mu": 10.0}, table, seed=2)
good: bool = saem.identifiability(model, table).locally_identified
print(saem.profile(fit), saem.likelihood_ratio(found.fits["ml"], fit), model.latex())
with saem.progress_bar() as bar:
    more = fit.resume(saem.Target(mcse=0.01), callback=bar)
try:
    compiled: int = saem.warmup(["linear"])
except SaemError as error:
    print(error.page)
"""
WRONG = """
import saem

fit = saem.fit("peptide.toml", saem.datasets.load("peptide"))
name: int = fit.summary()
saem.fit(saem.Model.from_toml("peptide.toml"), 3)
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """Programs of a user: one that is right, and one with three mistakes of types."""
    folder = tmp_path_factory.mktemp("downstream")
    (folder / "right.py").write_text(RIGHT)
    (folder / "wrong.py").write_text(WRONG)
    return folder


def checked(command, unpacked, scripts):
    """What a type checker prints."""
    environment = os.environ | {"PYTHONPATH": str(unpacked)}
    run = subprocess.run(command, cwd=scripts, env=environment, capture_output=True, text=True, timeout=600)
    return run.stdout


def test_mypy_knows_the_types(unpacked, scripts):
    for package in ("mypy", "pandas-stubs"):
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            pytest.skip(f"{package} is not installed")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull]
    assert "Success: no issues found" in checked([*command, "right.py"], unpacked, scripts)
    found = checked([*command, "wrong.py"], unpacked, scripts)
    assert [line.split(":")[1] for line in found.splitlines()[:-1]] == ["4", "5", "6"], found


def test_pyright_knows_the_types(unpacked, scripts):
    pyright = shutil.which("pyright", path=Path(sys.executable).parent) or shutil.which("pyright")
    if pyright is None:
        pytest.skip("pyright is not installed")
    if "pyright" not in checked([pyright, "--version"], unpacked, scripts):
        pytest.skip("pyright has no node to run on")
    command = [pyright, "--pythonpath", sys.executable]
    assert "0 errors" in checked([*command, "right.py"], unpacked, scripts)
    found = checked([*command, "wrong.py"], unpacked, scripts)
    assert "3 errors" in found and all(f"wrong.py:{line}:" in found for line in (4, 5, 6)), found
