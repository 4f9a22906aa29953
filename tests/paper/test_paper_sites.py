"""The real sites: bad tables are told, progress is shown, and the results say which code and commit made them."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest

import experiments.programs.sites.__main__ as program
import paper.pipeline.building as building
from experiments import names
from experiments.harness.study import sources
from experiments.programs.sites import origin
from experiments.studies.examine import Examined
from paper.digest import Digest, Digests
from paper.pipeline.manifest import PAPER, RESULTS, Manifest
from paper.real_data import configuration_now, digest_of
from saem.errors import StorageError

HEADER = "site,treatment,modification,replicate,subject,log2_intensity\n"


def ended(monkeypatch, *arguments):
    """The exit code of the program; 0 where it just returns."""
    monkeypatch.setattr(sys, "argv", ["experiments.sites", *map(str, arguments), "--workers", "1"])
    try:
        program.main()
    except SystemExit as end:
        return end.code
    return 0


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("site,protein\na,b\n", "lacks the column 'treatment'; it has 'site', 'protein'"),
        ("treatment,protein\nCCCP,b\n", "lacks the column 'site'"),
        (HEADER + "a,X,modified,r,s,1.0\n", "no row of"),
        (HEADER + "a,CCCP,modified,r,s,oops\n", "no site in"),
        (HEADER, "has no rows"),
        (None, "there is no data file"),
    ],
)
def test_a_bad_table_is_told_without_a_traceback(tmp_path, monkeypatch, capsys, text, error):
    data = tmp_path / "bad.csv"
    if text is not None:
        data.write_text(text, encoding="utf-8")
    assert ended(monkeypatch, data, "--output", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert "Error:" in told and error in told and "Traceback" not in told
    assert not (tmp_path / "out" / "run.json").exists()


def examined(site, rows, draws, seed):
    """A fit that took no time."""
    fits = [
        {"site": site, "link": link, "method": method, "rows": len(rows), "message": "", "status": "converged"}
        | {"loglik": 1.0, "seconds": 0.1, "unique": True, "n_maxima": 1, "condition": 9.0, "largest_distance": 0.1}
        for link in ("posted", "log2")
        for method in ("ml", "saem")
    ]
    own = {"parameter": "mu", "estimate": 1.0, "se": 0.1, "mcse": 0.01, "lower": 0.8, "upper": 1.2, "apart": 0.0}
    own |= {"wald_lower": 0.8, "wald_upper": 1.2}
    return Examined(fits, [{name: fit[name] for name in ("site", "link", "method")} | own for fit in fits])


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A folder in which two sites were examined."""
    data = tmp_path / "sites.csv"
    data.write_text(HEADER + "a,CCCP,modified,r,s,1.0\nb,Ctrl,modified,r,s,2.0\n")
    monkeypatch.setattr(program, "examine", examined)
    assert ended(monkeypatch, data, "--draws", "25", "--output", tmp_path / "out") == 0
    return tmp_path / "out"


def test_one_line_at_the_start_says_how_much_there_is_to_do(tmp_path, monkeypatch, capsys):
    data = tmp_path / "sites.csv"
    data.write_text(HEADER + "a,CCCP,modified,r,s,1.0\nb,Ctrl,modified,r,s,2.0\nc,X,modified,r,s,2.0\n")
    monkeypatch.setattr(program, "examine", examined)
    assert ended(monkeypatch, data, "--draws", "25") == 0
    assert "2 sites, 25 bootstrap samples for each test of a link, 1 process" in capsys.readouterr().err


def test_sites_are_counted_as_they_are_done(tmp_path, monkeypatch):
    from contextlib import contextmanager

    seen = []

    @contextmanager
    def counting(text):
        yield lambda done, total: seen.append((text, done, total))

    monkeypatch.setattr(program, "counting", counting)
    monkeypatch.setattr(program, "examine", examined)
    data = tmp_path / "sites.csv"
    data.write_text(HEADER + "a,CCCP,modified,r,s,1.0\nb,Ctrl,modified,r,s,2.0\n")
    assert ended(monkeypatch, data) == 0
    assert seen == [("sites", 1, 2), ("sites", 2, 2)]


def test_results_say_which_code_and_commit_made_them(made):
    run = json.loads((made / "run.json").read_text())
    found = digest_of(made).provenance
    assert found["configuration"] == origin.configuration_hash(run, run["code"]) == configuration_now(found)
    assert found["commits"] == ([run["commit"]] if "commit" in run else [])
    (made / "run.json").write_text(json.dumps({name: run[name] for name in origin.SETTINGS}))
    with pytest.raises(StorageError, match=r"run\.json lacks code"):
        digest_of(made)


def test_the_hash_covers_examination_links_model_and_recipes(tmp_path, monkeypatch):
    shutil.copytree(PAPER.parent / "experiments", tmp_path / "experiments")
    for module in (names, sources):
        monkeypatch.setattr(module, "FOLDER", tmp_path / "experiments")
    monkeypatch.setattr(origin.examine, "__file__", str(tmp_path / "experiments/studies/examine.py"))
    before = origin.code_hash()
    for name in ("examine.py", "links.py", "peptide.py"):
        path = tmp_path / "experiments/studies" / name
        text = path.read_text(encoding="utf-8")
        path.write_text(text + "\n# mutant\n", encoding="utf-8")
        assert origin.code_hash() == before, name
        path.write_text(text + "\nassert mutant\n", encoding="utf-8")
        assert origin.code_hash() != before, name
        path.write_text(text, encoding="utf-8")
    assert origin.code_hash() == before
    monkeypatch.setattr(origin.recipes, "text", lambda name: "another")
    assert origin.code_hash() != before


def test_changed_sites_are_told(tmp_path, monkeypatch):
    sites = {"what": "the real data", "data": "data.csv", "draws": {"full": 199, "quick": 39}}
    monkeypatch.setattr(building, "read_manifest", lambda: Manifest(studies={}, sites=sites))
    own = Digest.read(RESULTS / "sites")
    present = dict(own.provenance) | {"configuration": configuration_now(own.provenance)}
    Digest("sites", own.measures, present).save(tmp_path / "sites")
    assert building.changed_since(Digests(tmp_path)) == []
    accepted = present | {"configuration": "x", "accepted": present["configuration"]}
    Digest("sites", own.measures, accepted).save(tmp_path / "sites")
    assert building.changed_since(Digests(tmp_path)) == []
    Digest("sites", own.measures, accepted | {"accepted": "y"}).save(tmp_path / "sites")
    (told,) = building.changed_since(Digests(tmp_path))
    assert told.startswith("sites is ") and "--studies sites" in told


def test_the_committed_results_are_those_of_the_present_code():
    digest = Digest.read(RESULTS / "sites")
    assert configuration_now(digest.provenance) in digest.configurations
    assert len(digest.provenance["commits"][0]) == 40


def test_a_changed_examination_is_run_again(tmp_path, monkeypatch):
    import paper.pipeline.rerunning as rerunning

    calls = []
    (tmp_path / "data.csv").write_text("x\n")
    sites = {"what": "the real data", "data": "data.csv", "draws": {"full": 29, "quick": 25}}
    monkeypatch.setattr(rerunning, "read_manifest", lambda: Manifest(studies={}, sites=sites))
    monkeypatch.setattr("paper.real_data.digest_of", lambda folder: Digest.read(RESULTS / "sites"))

    def ran(command, **options):
        calls.append(command)
        (tmp_path / "results/paper/sites").mkdir(parents=True, exist_ok=True)
        return type("Ended", (), {"returncode": 0})

    monkeypatch.setattr(rerunning.subprocess, "run", ran)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        rerunning.rerun_sites(Path("data.csv"), False, 1)
    assert len(calls) == 1
    monkeypatch.setattr(origin, "code_hash", lambda: hashlib.sha256(b"another").hexdigest())
    rerunning.rerun_sites(Path("data.csv"), False, 1)
    assert len(calls) == 2
