"""Saving and loading a fit."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from handmade import handmade_model, storable_fit
from tampering import tamper

import saem
from saem.errors import StorageError
from saem.fitting.storage.content import FitContent
from saem.system.files import replacing


def assert_same(first, second):
    for field in dataclasses.fields(first):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype and a.shape == b.shape, field.name
            assert a.tobytes() == b.tobytes(), field.name
        elif isinstance(a, pd.DataFrame):
            pd.testing.assert_frame_equal(a, b)
        elif field.name == "parameters":
            assert (a.names, a.domains) == (b.names, b.domains)
            np.testing.assert_array_equal(a.fixed, b.fixed)
            np.testing.assert_array_equal(a.fixed_values, b.fixed_values)
        elif isinstance(a, float) and np.isnan(a):
            assert np.isnan(b), field.name
        else:
            assert a == b and type(a) is type(b), field.name


def test_a_loaded_fit_is_the_same_to_the_last_bit(tmp_path):
    fit = storable_fit(method="chains", looks=np.arange(14.0).reshape(2, 7), chains=np.ones((2, 7)))
    paths = (np.ones((3, 7)), np.zeros((4, 7)))
    dataclasses.replace(fit, chain_paths=paths).save(tmp_path / "chains")
    for path, loaded in zip(paths, saem.load(tmp_path / "chains").chain_paths, strict=True):
        np.testing.assert_array_equal(path, loaded)
    fit = dataclasses.replace(fit, method="saem", chains=np.empty((0, 0)))
    fit.save(tmp_path / "some" / "where")
    loaded = saem.load(tmp_path / "some" / "where")
    assert_same(fit, loaded)
    assert loaded.summary() == fit.summary()
    pd.testing.assert_frame_equal(loaded.estimates, fit.estimates)


@pytest.mark.parametrize("loglik", [float("nan"), float("-inf"), 1e308])
def test_numbers_that_json_does_not_know(tmp_path, loglik):
    fit = storable_fit(loglik=loglik, mcse=np.array([np.nan, np.inf, 0, 0, 0, 1, 1.0]), gradient_norm=np.inf)
    fit.save(tmp_path)
    assert_same(fit, saem.load(tmp_path))
    json.loads((tmp_path / "fit.json").read_text(), parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))


@pytest.mark.parametrize(
    "labels",
    [
        pd.DataFrame({"dose": [0.5, 1, 2, 3, 4, 5]}),
        pd.DataFrame({"day": pd.date_range("2026-01-01", periods=6)}),
        pd.DataFrame({"wild": [True, False] * 3}),
        pd.DataFrame({"Ünïcode \N{GREEK SMALL LETTER ALPHA}": list("abcdéf")}),
    ],
)
def test_labels_of_every_kind(tmp_path, labels):
    fit = storable_fit(cluster_labels=labels, model=handmade_model(cluster=tuple(labels.columns)))
    fit.save(tmp_path)
    pd.testing.assert_frame_equal(
        saem.load(tmp_path).cluster_labels, labels, check_dtype=labels.dtypes.iloc[0] != "str"
    )


def test_labels_of_half_precision_are_saved_as_text(tmp_path):
    """pandas has no index of such numbers."""
    labels = pd.DataFrame({"dose": np.arange(6, dtype="f2") / 4})
    storable_fit(cluster_labels=labels, model=handmade_model(cluster="dose")).save(tmp_path)
    assert list(saem.load(tmp_path).cluster_labels["dose"]) == ["0.0", "0.25", "0.5", "0.75", "1.0", "1.25"]


def test_categories_are_saved_as_text(tmp_path):
    labels = pd.DataFrame({"s": pd.Categorical(list("abcabc"))})
    storable_fit(cluster_labels=labels, model=handmade_model(cluster="s")).save(tmp_path)
    assert list(saem.load(tmp_path).cluster_labels["s"]) == list("abcabc")


def test_saving_again_replaces_the_fit_and_leaves_other_files(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    storable_fit().save(tmp_path)
    storable_fit(seed=8).save(tmp_path)
    assert saem.load(tmp_path).seed == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrays.npz", "fit.json", "notes.txt"]


def test_saving_twice_writes_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        storable_fit().save(tmp_path / name)
    for name in ("arrays.npz", "fit.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_interrupted_save_is_noticed(tmp_path):
    storable_fit().save(tmp_path / "a")
    storable_fit(loglik=-1.0, mcse=np.ones(7)).save(tmp_path / "b")
    (tmp_path / "a" / "arrays.npz").write_bytes((tmp_path / "b" / "arrays.npz").read_bytes())
    with pytest.raises(StorageError, match=r"not whole.*save the fit again"):
        saem.load(tmp_path / "a")


def spoil(folder, **changes):
    tamper(folder, lambda content: content.update(changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "fit.json").unlink(), "holds no fit.json"),
        (lambda f: (f / "arrays.npz").unlink(), "not whole: arrays.npz cannot be read"),
        (lambda f: (f / "fit.json").write_text("{"), "cannot be read as JSON"),
        (lambda f: (f / "fit.json").write_text("[]"), "'format' must be 'saem-fit'"),
        (lambda f: (f / "fit.json").write_bytes(b"\xff\xfe"), "cannot be read as JSON"),
        (lambda f: spoil(f, version=2), "format version 2"),
        (lambda f: spoil(f, status="splendid"), "splendid"),
        (lambda f: spoil(f, model="response = 1"), "cannot be read"),
        (lambda f: spoil(f, at_boundary=None), "changed by hand"),
        (lambda f: spoil(f, estimates=3), "changed by hand"),
    ],
)
def test_damage_is_told_in_words(tmp_path, damage, message):
    storable_fit().save(tmp_path)
    damage(tmp_path)
    with pytest.raises(StorageError, match=message):
        saem.load(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(StorageError, match="does not exist"):
        saem.load(tmp_path / "nowhere")


def test_pickled_arrays_are_not_loaded(tmp_path):
    import hashlib

    storable_fit().save(tmp_path)
    np.savez(tmp_path / "arrays.npz", values=np.array([{"a": 1}], dtype=object))
    spoil(tmp_path, arrays_sha256=hashlib.sha256((tmp_path / "arrays.npz").read_bytes()).hexdigest())
    with pytest.raises(StorageError, match="plain arrays"):
        saem.load(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be made"):
        storable_fit().save(tmp_path / "file" / "fit")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_parts_that_another_method_has_are_not_saved(tmp_path):
    with pytest.raises(StorageError, match=r"cannot be saved: it names the method 'ml', and has drawn .* of your own"):
        storable_fit(method="ml").save(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    storable_fit(method="mine").save(tmp_path)  # of which nothing is known
    assert saem.load(tmp_path).method == "mine"


# Folders from strangers, who know how they are sealed


def test_a_changed_byte_of_any_file_is_noticed(tmp_path):
    storable_fit().save(tmp_path)
    text = (tmp_path / "fit.json").read_text()
    (tmp_path / "fit.json").write_text(text.replace("-123.4567", "-123.4568"))
    with pytest.raises(StorageError, match="was changed since it was written"):
        saem.load(tmp_path)
    (tmp_path / "fit.json").write_text(text)
    data = bytearray((tmp_path / "arrays.npz").read_bytes())
    data[200] ^= 1
    (tmp_path / "arrays.npz").write_bytes(bytes(data))
    with pytest.raises(StorageError, match="do not belong together"):
        saem.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "../../x"}, "method: String should match"),
        ({"method": "/tmp/x"}, "method: String should match"),
        ({"method": "saem\n"}, "method: String should match"),
        ({"n_rows": 0}, "n_rows"),
        ({"n_rows": 10**400}, "n_rows"),
        ({"n_clusters": 7}, "has the shape .* and not that of the fit"),
        ({"burn_in": -1}, "burn_in"),
        ({"seconds": "nan"}, "seconds"),
        ({"loglik": "fast"}, "loglik"),
        ({"loglik": True}, "loglik"),
        ({"estimates": {}}, "estimates"),
        ({"estimates": {"mu": 1.0, "sigma1": 0.0}}, "2 estimates and 7 parameter_kinds"),
        ({"parameter_kinds": ["sd"] * 7 + ["mean"]}, "7 estimates and 8 parameter_kinds"),
        ({"at_boundary": ["omega"]}, "at_boundary names 'omega'"),
        ({"term_names": ["intercept", "intercept"]}, "term_names has a name twice"),
        ({"term_names": ["slope"]}, "the terms of random effects are not those of the model"),
        ({"constraint_names": ["h"]}, "the constraints or the terms"),
        ({"cluster_columns": ["replicate", "treatment"]}, "the columns of the clusters are not those"),
        ({"group_levels": ["Ctrl"]}, "variance groups that there are not"),
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
        ({"posterior": {}}, "posterior.priors: Field required"),
        ({"continuation": {"method": None, "numbers": {"done": "x"}, "texts": {}}}, "continuation.numbers.done"),
        ({"formula_state": []}, "formula_state"),
        ({"arrays_sha256": "0"}, "arrays_sha256"),
    ],
)
def test_content_that_no_fit_has(tmp_path, changes, message):
    storable_fit().save(tmp_path)
    spoil(tmp_path, **changes)
    with pytest.raises(StorageError, match=message):
        saem.load(tmp_path)


def going_on(method):
    """What a fit by a method of the package goes on from, as far as loading is concerned."""
    return {"method": method, "numbers": {}, "texts": {}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "ml"}, "'ml', and has drawn random effects"),
        ({"method": "em", "continuation": going_on(None)}, "'em', and has a state to go on from"),
        ({"method": "bayes", "drawn": 0}, "'bayes', and lacks the draws of a posterior"),
        ({"drawn": 0}, "'saem', and has drawn no random effects"),
        ({"method": "mcem", "continuation": going_on({"class": "SAEM"})}, "'mcem', and has the settings of 'SAEM'"),
        ({"method": "mine", "continuation": going_on({"class": "SAEM"})}, "'mine', and has the settings of 'SAEM'"),
        ({"continuation": going_on({"class": ["SAEM"]})}, r"'saem', and has the settings of \['SAEM'\]"),
        ({"continuation": going_on([1])}, r"'saem', and has the settings of \[1\]"),
    ],
)
def test_parts_that_another_method_has(tmp_path, changes, message):
    storable_fit().save(tmp_path)
    spoil(tmp_path, **changes)
    with pytest.raises(StorageError, match=f"it names the method {message}.*fit again"):
        saem.load(tmp_path)


def test_chains_that_another_method_has(tmp_path):
    storable_fit(method="chains", chains=np.ones((2, 7)), chain_paths=(np.ones((3, 7)),) * 2).save(tmp_path)
    spoil(tmp_path, method="saem")
    with pytest.raises(StorageError, match="'saem', and has independent chains"):
        saem.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"format": "saem-fit", "version": 1, "x": ' + '{"a":' * 400 + "1" + "}" * 401, "nested too deeply|recursion"),
        ('{"n_rows": Infinity}', "Infinity is no number of JSON"),
        ('{"n_rows": NaN}', "NaN is no number of JSON"),
        ('{"n_rows": 1, "n_rows": 2}', "a key occurs twice"),
        ('{"n_rows": ' + "1" * 5_000 + "}", "cannot be read as JSON"),
        (" " * (16 * 2**20 + 1), "larger than 16 MB"),
    ],
)
def test_json_that_no_fit_has(tmp_path, text, message):
    storable_fit().save(tmp_path)
    (tmp_path / "fit.json").write_text(text)
    with pytest.raises(StorageError, match=message):
        saem.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update(values=a["values"][:0]), "'values' has the shape"),
        (lambda a: a.update(values=a["values"][None]), "'values' has the shape"),
        (lambda a: a.update(values=a["values"].astype("f4")), "'values' has values of the type float32"),
        (lambda a: a.update(fixed=a["fixed"].astype(float)), "'fixed' has values of the type float64"),
        (lambda a: a.update(values=a["values"] + 1.0), "the estimates of fit.json are not those of arrays.npz"),
        (lambda a: a.update(path=a["path"][:0]), "there are no path"),
        (lambda a: a.update(solutions=a["solutions"][[0, 0]]), "'solution_logliks' has the shape"),
        (lambda a: a.update(cluster_group=a["cluster_group"] - 1), "variance groups that there are not"),
        (lambda a: a.update(fixed=~a["fixed"]), "the fixed parameters are not those of the model"),
        (lambda a: a.update(mcse=a["mcse"] - 1.0), "a Monte Carlo error is negative"),
        (lambda a: a.update(covariance=-np.eye(len(a["mcse"]))), "a variance or a Monte Carlo error is negative"),
        (lambda a: a.update(covariance=np.tri(len(a["mcse"]))), "is not symmetric"),
        (lambda a: a.pop("mcse"), "'mcse' is missing"),
        (lambda a: a.update(more=a["mcse"]), "arrays that are not of a fit: 'more'"),
        (lambda a: a.update({"../more": a["mcse"]}), "arrays that are not of a fit"),
        (lambda a: a.update(chains=np.zeros((1, 7))), "'chain_0' is missing"),
        (lambda a: a.update(label_0=np.zeros(6, dtype="f2")), "'label_0' has values of the type float16"),
        (
            lambda a: a.update(random_effects=np.full_like(a["random_effects"], np.inf)),
            "an infinite number in 'random_effects'",
        ),
        (lambda a: a.update(label_0=np.zeros(6, dtype="V4")), "does not hold plain numbers or texts"),
    ],
)
def test_arrays_that_no_fit_has(tmp_path, change, message):
    storable_fit().save(tmp_path)
    tamper(tmp_path, arrays=change)
    with pytest.raises(StorageError, match=message):
        saem.load(tmp_path)


@pytest.mark.parametrize(("at", "value"), [(0, "nan"), (0, "inf"), (4, -0.5)])
def test_estimates_that_no_parameter_can_have(tmp_path, at, value):
    storable_fit().save(tmp_path)
    name = storable_fit().parameters.names[at]

    def change(arrays):
        arrays["values"][at] = float(value)

    tamper(tmp_path, lambda content: content["estimates"].update({name: value}), change)
    with pytest.raises(StorageError, match="an estimate is no number that a parameter of its domain can be"):
        saem.load(tmp_path)


def archive_of(**heads):
    """A file of arrays with false heads."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (head, content) in heads.items():
            text = head.ljust(117) + "\n"
            archive.writestr(
                f"{name}.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + content
            )
    return buffer.getvalue()


PLAIN = "{{'descr': '<f8', 'fortran_order': False, 'shape': ({},), }}"


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (lambda: b"no archive", "not a file of plain arrays"),
        (lambda: archive_of(values=(PLAIN.format(10**12), b"")), "does not have the length that its shape"),
        (lambda: archive_of(values=(PLAIN.format(3), bytes(16))), "does not have the length that its shape"),
        (lambda: archive_of(values=(PLAIN.format(2**24), bytes(2**27))), "the array 'covariance' is missing"),
        (lambda: archive_of(values=("[" * 110, b"")), "has no head of an array"),
        (lambda: archive_of(**{f"a{i}": (PLAIN.format(0), b"") for i in range(10_001)}), "it has 10,001 entries"),
    ],
)
def test_archives_that_are_none(tmp_path, archive, message):
    storable_fit().save(tmp_path)
    tamper(tmp_path, archive=archive())
    with pytest.raises(StorageError, match=message):
        saem.load(tmp_path)


def test_arrays_that_would_fill_the_memory(tmp_path, monkeypatch):
    """They are refused by what their heads say, before they are unpacked."""
    from saem.fitting.storage import arrays

    storable_fit().save(tmp_path)
    monkeypatch.setattr(arrays, "MAX_BYTES", 5_000)
    with pytest.raises(StorageError, match="its arrays take more than"):
        saem.load(tmp_path)
    with pytest.raises(StorageError, match="cannot be saved: its arrays take more than"):
        storable_fit().save(tmp_path / "again")


def test_a_method_whose_name_is_no_name_of_a_folder(tmp_path):
    with pytest.raises(StorageError, match=r"the name of a method must be letters.*got '\.\./x'"):
        storable_fit(method="../x").save(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_no_field_of_a_fit_is_forgotten():
    """A field of a type that `save` does not know would be lost without a word."""
    from saem.fitting.parts import declared
    from saem.fitting.record import Record
    from saem.fitting.storage import saving

    by_type = [saving.ARRAYS, saving.NUMBERS, saving.COUNTS, saving.TEXTS, saving.NAMES, saving.MAPPINGS]
    by_hand = "model parameters status cluster_labels table chain_paths continuation posterior".split()
    assert sorted([*by_hand, *(name for fields in by_type for name in fields)]) == sorted(declared(Record))


@pytest.mark.parametrize("kind", ["scale", "interval(-2.0, 2.0)"])
def test_domains_of_other_families_can_be_read(tmp_path, kind):
    storable_fit().save(tmp_path)
    content = json.loads((tmp_path / "fit.json").read_text())
    read = FitContent.model_validate_json(json.dumps(content | {"parameter_kinds": [kind] * 7}))
    assert read.parameter_kinds == (kind,) * 7


def test_a_domain_that_there_is_not(tmp_path):
    storable_fit().save(tmp_path)
    spoil(tmp_path, parameter_kinds=["wild"] * 7)
    with pytest.raises(StorageError, match="no domain 'wild'; the domains are real"):
        saem.load(tmp_path)
