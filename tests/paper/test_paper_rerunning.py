"""Studies of the paper are run anew, go on where they were, and are digested; digests are committed by choice."""

from __future__ import annotations

import pytest
from simulated_results import study_in
from tiny_paper import PROVENANCE
from typer.testing import CliRunner

import paper.pipeline.rerunning as rerunning
from paper.digest import Digest
from paper.pipeline.commands import app
from paper.pipeline.manifest import Manifest, read_manifest
from saem.errors import ModelError, StorageError


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder in which a paper of the study `made` is, with real data that are not there."""
    import experiments.harness.study
    import paper.pipeline.manifest

    own = {"size": [10, 20], "kind": ["a", "b"]}
    study_in(tmp_path, own, replicates=3, quick={"design": {"factors": {"size": [10]}}, "run": {"replicates": 2}})
    manifest = Manifest(
        studies={"made": {"replicates": 3}},
        sites={"what": "the real data", "data": "nowhere.csv", "draws": {"full": 29, "quick": 25}},
    )
    for module in (paper.pipeline.manifest, rerunning):
        monkeypatch.setattr(module, "read_manifest", lambda *_: manifest)
    monkeypatch.setattr(experiments.harness.study, "STUDIES", tmp_path)
    monkeypatch.setattr(rerunning, "RESULTS", tmp_path / "committed")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["run", "--workers", "0", *arguments])


def test_a_run_goes_on_and_is_digested(place):
    told = run("--studies", "made")
    assert told.exit_code == 0 and "12 of 12 replicates are in results/paper/made" in told.output
    first = Digest.read(place / "results/paper/digests/made")
    assert first.provenance["replicates"] == 3 and len(first.cells) == 4
    told = run("--studies", "made")
    assert told.exit_code == 0 and "nothing was missing" in told.output


def test_the_quick_form_is_a_part_of_the_full_one_and_has_its_own_place(place):
    run("--studies", "made")
    told = run("--quick", "--studies", "made")
    assert told.exit_code == 0 and "4 of 4 replicates are in results/paper-quick/made" in told.output
    full, quick = (Digest.read(place / f"results/{name}/digests/made") for name in ("paper", "paper-quick"))
    assert set(quick.cells.index) < set(full.cells.index)
    assert quick.provenance["replicates"] == 2


def test_the_manifest_may_want_fewer_data_sets_of_the_quick_form(place, monkeypatch):
    fewer = Manifest(studies={"made": {"replicates": 3, "quick": 1}})
    monkeypatch.setattr(rerunning, "read_manifest", lambda *_: fewer)
    assert "2 of 2 replicates are in results/paper-quick/made" in run("--quick", "--studies", "made").output
    assert "12 of 12 replicates are in results/paper/made" in run("--studies", "made").output


def test_without_the_data_the_committed_digest_is_taken_and_that_is_said(place):
    told = run()
    assert told.exit_code == 2 and "--data CSV" in told.output and "'sites'" in told.output
    Digest("sites", Digest.read(place / "results/paper/digests/made").measures, PROVENANCE | {"study": "sites"}).save(
        place / "committed/sites"
    )
    told = run()
    assert told.exit_code == 0 and "the committed results of 'sites' are taken" in told.output
    taken = Digest.read(place / "results/paper/digests/sites")
    assert taken.borrowed
    told = CliRunner().invoke(app, ["adopt", "--studies", "sites"])
    assert told.exit_code == 2 and "nothing to adopt" in told.output
    own = {key: value for key, value in taken.provenance.items() if key != "borrowed"} | {"seed": 77}
    Digest("sites", taken.measures, own).save(place / "results/paper/digests/sites")
    told = run("--studies", "sites")
    assert "what an earlier run found of 'sites' is kept" in told.output
    assert Digest.read(place / "results/paper/digests/sites").provenance["seed"] == 77


def test_ctrl_c_keeps_what_was_done(place, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(rerunning, "digest", interrupted)
    told = run("--studies", "made")
    assert told.exit_code == 130 and "the same command goes on" in told.output
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--studies", "mode"], "the paper has no study 'mode' (did you mean 'made'?)"),
        (["--studies", ""], "a list of studies names none"),
        (["--scheduler", "tcp://nowhere:1"], "--scheduler is for '--executor dask'"),
        (["--data", "no.csv"], "there is no table 'no.csv'"),
    ],
)
def test_misuse_is_told(place, arguments, error):
    told = CliRunner().invoke(app, ["run", *arguments])
    assert told.exit_code == 2 and error in " ".join(told.output.split())


def test_a_study_without_a_file_is_told_before_anything_runs(place):
    (place / "made.toml").unlink()
    told = CliRunner().invoke(app, ["run"])
    words = " ".join(told.output.split())
    assert told.exit_code == 2 and "paper/manifest.toml names 'made', and there is no" in words
    assert words.count("Error:") == 1 and not (place / "results").exists()


def test_a_manifest_with_another_table_for_the_sites_is_told(tmp_path):
    for text, error in (
        (
            "[studies]\n[programs.sites]\nwhat = 'the real data'\n",
            r"programs: there is no such table; there are .*\[sites\]",
        ),
        ("[studies]\nsites = { replicates = 1 }\n", "'sites' is no study: it has the table"),
        ("[studies]\n[sites]\nwhat = 'the real data'\n", "sites.data: Field required"),
    ):
        path = tmp_path / f"{len(text)}.toml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ModelError, match=error):
            read_manifest(path)


def test_data_without_sites_are_told(place, monkeypatch):
    monkeypatch.setattr(rerunning, "read_manifest", lambda: Manifest(studies={"made": {"replicates": 3}}))
    (place / "some.csv").write_text("x\n")
    told = CliRunner().invoke(app, ["run", "--data", "some.csv"])
    assert told.exit_code == 2 and "has no table [sites]" in " ".join(told.output.split())


def test_sites_of_another_size_or_code_are_not_adopted(place):
    from paper.pipeline.manifest import RESULTS
    from paper.real_data import configuration_now

    committed = Digest.read(RESULTS / "sites")
    known = dict(committed.provenance) | {"draws": 29}
    known["configuration"] = configuration_now(known)
    folder = place / "results/paper/digests/sites"
    for change, words in (({"draws": 25}, "has 25 draws of 29"), ({"configuration": "x"}, "run it again")):
        Digest("sites", committed.measures, known | change).save(folder)
        with pytest.raises(StorageError, match=words):
            rerunning.adopt(["sites"], place / "target")
    Digest("sites", committed.measures, known).save(folder)
    assert rerunning.adopt(["sites"], place / "target") == ["sites"]


def test_only_whole_results_of_the_present_study_are_adopted(place):
    target = place / "committed"
    with pytest.raises(StorageError, match="holds no digest"):
        rerunning.adopt(None, target)
    run("--studies", "made")
    folder = place / "results/paper/digests/made"
    whole = Digest.read(folder)
    for change, words in (({"replicates": 2}, "has 2 replicates of 3"), ({"configuration": "x"}, "run it again")):
        Digest("made", whole.measures, dict(whole.provenance) | change).save(folder)
        with pytest.raises(StorageError, match=words):
            rerunning.adopt(["made"], target)
        assert not target.exists()
    whole.save(folder)
    assert rerunning.adopt(None, target) == ["made"]
    assert (target / "made/measures.parquet").read_bytes() == (folder / "measures.parquet").read_bytes()
    with pytest.raises(ModelError, match="no study 'other'"):
        rerunning.adopt(["other"], target)
