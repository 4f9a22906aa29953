"""What the results of a study depend on: the syntax of what its functions reach, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from own_study import command, records, written

from experiments.harness.provenance import versions_of
from experiments.harness.running import run_study
from experiments.harness.store import Store
from experiments.harness.store.connecting import FILE, LOG
from experiments.harness.study import STUDIES, load_study
from experiments.harness.study.identity import reach_of
from experiments.harness.study.sources import digest_of, packages_of, sources_of
from saem.errors import ModelError

SOURCE = '''
"""Words."""
import math
import numpy as np
from helper import used, other as alias
import statsmodels.api as sm

SCALE = 2.0
METHODS = {"a": lambda x: first(x)}

def first(x):
    return used(x)

def second(x):
    return x

def generate(cell, seed):
    """Words."""
    return np.random.default_rng(seed).normal(scale=SCALE)

def estimate(data, cell, options, seed):
    return METHODS[options["m"]](data)

def truth(cell):
    return {"x": second(1.0)}

def performance(rows):
    return sm.OLS(rows)
'''
HELPER = "LIMIT = 1\n\ndef used(x):\n    return x + LIMIT\n\ndef other(x):\n    return x\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text(HELPER)
    path = tmp_path / "s.py"
    path.write_text(SOURCE)
    return path


def digests(path: Path) -> dict[str, str]:
    return {name: reach_of(path, name).digest for name in ("generate", "estimate", "truth")}


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("SCALE = 2.0", "SCALE = 2.0  # a comment", ""),
        ('"""Words."""\n    return np', "return np", ""),
        ("(scale=SCALE)", "(\n        scale=(SCALE),\n    )", ""),
        ("return sm.OLS(rows)", "return rows", ""),
        ("import statsmodels.api as sm\n", "import statsmodels.api as sm\nimport pandas as pd\nUNUSED = pd\n", ""),
        ("SCALE = 2.0", "SCALE = 3.0", "generate"),
        ("return used(x)", "return used(x) + 0", "estimate"),
        ("    return x\n\ndef generate", "    return -x\n\ndef generate", "truth"),
        ("SCALE = 2.0", "SCALE = 2.0\nnp.seterr(all='raise')", "generate estimate truth"),
        ("def second", "@METHODS.setdefault\ndef second", "generate estimate truth"),
        ('METHODS[options["m"]]', 'globals()[options["m"]]', "estimate"),
    ],
)
def test_the_syntax_counts_that_a_function_reaches(files: Path, old: str, new: str, changed: str) -> None:
    before = digests(files)
    assert SOURCE.count(old) == 1
    files.write_text(SOURCE.replace(old, new))
    assert {name for name, digest in digests(files).items() if digest != before[name]} == set(changed.split())


def test_modules_beside_the_study_count_by_what_is_taken_from_them(files: Path) -> None:
    before = digests(files)
    helper = files.with_name("helper.py")
    helper.write_text(HELPER + "\ndef more(x):\n    return 1  # new\n")
    assert digests(files) == before
    helper.write_text(HELPER.replace("LIMIT = 1", "LIMIT = 2"))
    assert {name for name, digest in digests(files).items() if digest != before[name]} == {"estimate"}


def test_relative_imports_belong_to_the_study(tmp_path: Path) -> None:
    (tmp_path / "near.py").write_text("X = 1\n")
    path = tmp_path / "s.py"
    path.write_text("def generate(cell, seed):\n    from .near import X\n    return X\n")
    before = reach_of(path, "generate").digest, digest_of(path)
    (tmp_path / "near.py").write_text("X = 2\n")
    assert reach_of(path, "generate").digest != before[0] and digest_of(path) != before[1]


PLACES = """
from experiments.study.functions import Outcome
from experiments.links import LN2
from saem.schedules import Schedule

def generate(cell, seed):
    from saem.errors import ModelError
    return LN2, Schedule, ModelError, Outcome

estimate = truth = generate
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("experiments.study.functions", "experiments.harness.study.functions", True),
        ("experiments.study.functions", "saem_experiments.study.functions", True),
        ("experiments.links", "saem_experiments.studies.links", True),
        ("from saem.errors", "from saem.system.errors", True),
        (
            "from experiments.links import LN2\nfrom saem.schedules import Schedule",
            "from saem.steps import Schedule\nfrom experiments.links import LN2",
            True,
        ),
        ("import LN2", "import BORDER as LN2", False),
        ("import Schedule", "import Steps as Schedule", False),
        ("from saem.errors import ModelError", "from other import ModelError", False),
        ("experiments.links", "experiments.peptide", False),
    ],
)
def test_an_import_counts_by_what_it_takes_not_by_where_the_project_has_it(
    tmp_path: Path, old: str, new: str, same: bool
) -> None:
    path = tmp_path / "s.py"
    path.write_text(PLACES)
    before = digests(path)
    assert PLACES.count(old) == 1
    path.write_text(PLACES.replace(old, new))
    assert (digests(path) == before) is same


@pytest.mark.parametrize("name", ["headline", "own_rule", "link_tests"])
def test_a_file_of_the_project_is_the_same_with_absolute_imports(tmp_path: Path, name: str) -> None:
    """Relative ones are those of its place; what they lead to counts, as by a name."""
    path = STUDIES / f"{name}.py"
    text = path.read_text()
    other = re.sub(r"from \.\.?(?:harness\.)?(?=\w)", "from experiments.", text)
    assert text.count("from .") == other.count("from experiments.") > 1
    (tmp_path / path.name).write_text(other)
    assert digests(tmp_path / path.name) == digests(path)
    assert {file.name for file in sources_of(path)} == {file.name for file in sources_of(tmp_path / path.name)}
    assert len(sources_of(path)) > 1


def test_packages_are_told_with_their_versions(files: Path) -> None:
    assert packages_of(files) == ["numpy", "statsmodels"]
    import yaml

    assert versions_of(["yaml", "not_there"]) == {"PyYAML": yaml.__version__, "not_there": "not known"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = " + "(" * 500 + ")" * 500, "own.py"),
        ("x = " + "-" * 100_000 + "1", "own.py"),
        ("x = 1" + " + 1" * 50_000, "own.py"),
        ("x = 1" + " + 1" * 400, ""),
        ("x = '\0'", "own.py"),
    ],
    ids=["brackets", "signs", "sum", "shorter sum", "null"],
)
def test_files_that_no_parser_can_read(tmp_path: Path, text: str, words: str) -> None:
    """They are refused, in words; or, where Python can run them, run."""
    path = written(tmp_path, tail=text)
    if not words:
        assert load_study(path).title
        return
    with pytest.raises(ModelError, match=words):
        load_study(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"title": "\x1b[31m"}, "title: a text must have no control characters"),
        ({"design": {"factors": {f"f{k}": [1, 2, 3, 4] for k in range(30)}}}, "at most 10,000 cells"),
        ({"design": {"factors": {"f": ["\x1b]0;x"]}}}, "one line without control characters"),
        ({"run": {"replicates": 10**12}}, "a study must have at most 200,000,000"),
    ],
    ids=["escape", "cells", "level", "replicates"],
)
def test_settings_that_are_refused_at_once(tmp_path: Path, changes: dict, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_study(written(tmp_path, **changes))
    assert words in str(caught.value) and "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x = " + "[" * 5000, "nested too deeply"),
        ("x = " + "{a=" * 5000, "nested too deeply"),
        ("x" + ".x" * 100_000 + " = 1", "nested too deeply"),
        ("x" + '. "x"' * 100_000 + " = 1", "nested too deeply"),
        ("#" * 2_000_000, "at most 1,000,000 bytes"),
        ("\x1b[31m", "cannot be read"),
    ],
    ids=["lists", "tables", "dots", "quoted", "large", "escape"],
)
def test_settings_that_no_machine_could_read(tmp_path: Path, content: str, words: str) -> None:
    path = written(tmp_path)
    path.write_text(content)
    with pytest.raises(ModelError) as caught:
        load_study(path)
    assert words in str(caught.value) and "\x1b" not in str(caught.value)


# The store


def test_a_comment_or_a_measure_does_not_lock_a_store(tmp_path: Path) -> None:
    path = written(tmp_path)
    command("run", path, "-o", tmp_path / "out", "--workers", 0)
    functions = path.with_suffix(".py")
    functions.write_text(
        "# a comment\n" + functions.read_text() + "\ndef performance(rows):\n    return rows[:0].assign("
        "measure='m', value=1.0, n=1)\n"
    )
    assert "16 of 16 replicates" in command("run", path, "-o", tmp_path / "out", "--workers", 0)
    assert "careful" not in command("summarise", path, "-o", tmp_path / "out")


@pytest.mark.usefixtures("no_pictures")
def test_changes_are_accepted_when_the_user_says_so(tmp_path: Path) -> None:
    """What failed is made again by the function as it is now; the report tells; the kept sources show the change."""
    path = written(tmp_path, "if 'odd' in options: raise RuntimeError('a mistake')")
    out = ("-o", tmp_path / "out", "--workers", 0)
    command("run", path, *out)
    path = written(tmp_path, "pass")
    assert "the function estimate changed since then" in command("run", path, *out, "--retry", "errors", code=2)
    shown = command("sources", path, "-o", tmp_path / "out")
    assert "- if 'odd' in options: raise RuntimeError('a mistake')" in shown and "+ pass" in shown
    command("run", path, *out, "--retry", "errors", "--accept-changes")
    assert {record["status"] for record in records(tmp_path / "out")["odd"]} == {"ok"}
    assert "nothing changed" in command("sources", path, "-o", tmp_path / "out")
    command("report", path, "-o", tmp_path / "out")
    assert "A change of the function estimate was accepted" in (tmp_path / "out" / "report.html").read_text()
    path = written(tmp_path, "pass", run={"replicates": 4, "seed": 9})
    assert "A change of the seed cannot be accepted" in command("run", path, *out, "--accept-changes", code=2)


def test_errors_are_tried_again_on_demand(tmp_path: Path) -> None:
    """And not otherwise; what succeeded is not made again."""
    flag, log = tmp_path / "well", tmp_path / "log"
    path = written(tmp_path, f"open({str(log)!r}, 'a').write('x')\nif 'odd' in options: open({str(flag)!r})")
    out = ("-o", tmp_path / "out", "--workers", 0)
    command("run", path, *out)
    flag.touch()
    command("run", path, *out)
    assert {record["status"] for record in records(tmp_path / "out")["odd"]} == {"error"}
    before = len(log.read_text())
    command("run", path, *out, "--retry", "errors")
    assert {record["status"] for record in records(tmp_path / "out")["odd"]} == {"ok"}
    assert 16 <= len(log.read_text()) - before <= 17, "the first call in a process may be made twice"


def test_results_in_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """They are read, whole or with what a killed run left in the log; files go elsewhere."""
    path = written(tmp_path)
    run_study(load_study(path), path, tmp_path / "whole")
    run_study(load_study(path), path, tmp_path / "killed")
    assert not (tmp_path / "whole" / LOG).exists()
    code = (
        "import sys, os; from pathlib import Path; from experiments.store.connecting import writing\n"
        "db = writing(Path(sys.argv[1])); db.execute('DELETE FROM records WHERE replicate = 3'); os._exit(0)"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "killed")], check=True, cwd=root)
    assert (tmp_path / "killed" / LOG).stat().st_size and (tmp_path / "killed" / FILE).is_file()
    for name in ("whole", "killed"):
        command("summarise", path, "-o", tmp_path / name, "--into", tmp_path / "files")
    for name, fits in (("whole", 32), ("killed", 24)):
        with unwritable(tmp_path / name):
            said = command("summarise", path, "-o", tmp_path / name)
            assert "convergence_rate" in said and "cannot be written, so that no files are" in said
            assert f"{fits} fits of 32" in command("status", path, "-o", tmp_path / name)
            assert "by --into" in command("plot", path, "-o", tmp_path / name, code=2)


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """A folder that nobody may write, who is not root: root becomes somebody else for a while."""
    above = [place for place in [folder.parent, *folder.parent.parents] if place.stat().st_uid == os.getuid()]
    modes = {place: place.stat().st_mode for place in (folder, *folder.iterdir(), *above) if len(place.parts) > 2}
    for place in modes:
        place.chmod(0o755 if place in above else 0o555 if place == folder else 0o444)
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.seteuid(65534)
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for place, mode in modes.items():
            place.chmod(mode)


def test_a_store_of_an_earlier_version(tmp_path: Path) -> None:
    """It can be read, and says that its functions are not known to be these; a run needs the user's word."""
    path = written(tmp_path)
    command("run", path, "-o", tmp_path / "out", "--workers", 0)
    with Store(tmp_path / "out", None) as store:
        identity = store.identity()
    import sqlite3

    db = sqlite3.connect(tmp_path / "out" / FILE)
    for table in ("data", "truths", "sources"):
        db.execute(f"DROP TABLE {table}")
    db.execute("DELETE FROM identity WHERE part LIKE 'the function %'")
    db.execute("INSERT INTO identity VALUES ('the functions', '0123456789abcdef')")
    db.commit()
    db.close()
    assert identity["the seed"] == "0"
    assert "careful: the study changed since the results were made (the functions" in command(
        "summarise", path, "-o", tmp_path / "out"
    )
    assert "the functions changed" in command("run", path, "-o", tmp_path / "out", "--workers", 0, code=2)
    command("run", path, "-o", tmp_path / "out", "--workers", 0, "--accept-changes")
    assert "careful" not in command("summarise", path, "-o", tmp_path / "out")
