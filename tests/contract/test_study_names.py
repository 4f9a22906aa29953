"""Every module of the studies is there once, whatever it is called, and the installed package has a name of its own."""

from __future__ import annotations

import importlib
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from documented import ROOT

import experiments
from experiments import names

PACKAGE = ROOT / "experiments"
SHORT = ["study.functions", "performance", "figures", "report", "results", "peptide", "links", "demo", "study"]


@pytest.mark.parametrize("short", SHORT)
def test_one_module_by_all_its_names(short: str) -> None:
    parts = names.parts_of(f"experiments.{short}")
    assert parts is not None
    own = importlib.import_module(".".join(["experiments", *parts]))
    assert importlib.import_module(f"experiments.{short}") is own
    assert importlib.import_module(f"saem_experiments.{short}") is own
    assert importlib.import_module(".".join(["saem_experiments", *parts])) is own
    assert own.__spec__ is not None and own.__spec__.name == own.__name__


def test_classes_are_the_same() -> None:
    from experiments.study.functions import Outcome as short
    from saem_experiments.study.functions import Outcome as installed

    from experiments.harness.study.functions import Outcome

    assert Outcome is short is installed and sys.modules["saem_experiments"] is experiments


@pytest.mark.parametrize(
    "name", ["experiments.nothing", "saem_experiments.harness.nothing", "experiments.study.nothing"]
)
def test_what_is_not_there_is_not_found(name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match="nothing"):
        importlib.import_module(name)


def test_names_of_others_are_left_to_them() -> None:
    finder = names.Names()
    for name in ("experiments_of_mine.study", "study.functions", "experiments", "saem.fitting"):
        assert finder.find_spec(name) is None


@pytest.mark.parametrize("program", ["demo", "coverage", "sites", "sbc", "t_tests", "posterior_convergence"])
def test_programs_run_by_their_short_names(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `python -m experiments.demo` does it."""
    monkeypatch.setattr(sys, "argv", ["python", "--help"])
    for name in (
        f"experiments.{program}",
        f"experiments.programs.{program}",
        f"experiments.programs.{program}.__main__",
    ):
        monkeypatch.delitem(sys.modules, name, raising=False)  # which another test has imported
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"experiments.{program}", run_name="__main__", alter_sys=True)
    assert ended.value.code == 0 and f"usage: python -m experiments.{program}" in capsys.readouterr().out


def test_under_the_name_that_is_installed(tmp_path: Path) -> None:
    """A study of one's own and one that ships, beside a package `experiments` that is somebody else's."""
    (tmp_path / "saem_experiments").symlink_to(PACKAGE)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "__init__.py").write_text("OWNER = 'another'")
    (tmp_path / "own.py").write_text(
        "from saem_experiments.study.functions import Outcome\n"
        "import experiments\n"
        "assert experiments.OWNER == 'another'\n"
        "def truth(cell): return {}\n"
        "def generate(cell, seed): return 0\n"
        "def estimate(data, cell, options, seed): return Outcome\n"
    )
    (tmp_path / "run.py").write_text(
        "import sys; from pathlib import Path\n"
        "from saem_experiments.harness.study.functions import Outcome, functions_in\n"
        "from saem_experiments.harness.study.loading import STUDIES\n"
        "from saem_experiments import names\n"
        "assert functions_in(Path('own.py').resolve()).estimate(0, None, {}, 0) is Outcome\n"
        "assert functions_in(STUDIES / 'remedies.py').generate.__module__.startswith('saem_experiments.studies.')\n"
        "print(names.COMMAND, *sorted(n for n in sys.modules if n.startswith('experiments')))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    found = subprocess.run(
        [sys.executable, "run.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == ["python", "-m", "saem_experiments", "experiments"]


def test_all_folders_are_installed_under_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import setuptools

    told: dict[str, list[str]] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **given: told.update(given))
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    folders = {file.parent.relative_to(PACKAGE).parts for file in PACKAGE.rglob("*.py")}
    wanted = {".".join(["saem_experiments", *parts]) for parts in folders}
    assert {name for name in told["packages"] if not name.startswith(("saem.", "saem/")) and name != "saem"} == wanted
    assert {"saem", "saem.families"} <= set(told["packages"])
