"""Whatever a file or a text holds, it is used or refused in words: no error of Python or of a library comes through.

Few examples in the fast suite. In the slow one 20,000 saved fits, and as many of all the languages together.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import strategies
from handmade import storable_fit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tampering import SavedFit, archive_of, tampered_archives, tampered_arrays, tampered_content

import saem
from saem.algorithms.bayes.posterior import Posterior
from saem.data import read_table
from saem.data import where as rows_where
from saem.errors import SaemError, SaemWarning
from saem.expressions.constraint import parameters_of, split
from saem.expressions.derivatives import Function, source_of
from saem.families import Model, arrange
from saem.stopping import Target

FEW = 30
TABLE = pd.DataFrame(
    {
        "y": [1.0, 1.5, 0.5, 2.0, 2.5, 3.5, 0.1, 1.1],
        "id": [1, 1, 2, 2, 3, 3, 4, 4],
        "x": [0, 1, 0, 1, 0, 1, 2, 3],
        "f": ["a", "b", "a", "b", "c d", "a", "1", "<5"],
        "True": [True, False] * 4,
        "day": pd.date_range("2026-01-01", periods=8),
    }
)
PLAIN = Model(response="y", cluster="id", mean={"mu": "1"})
FORMULA = Model(cluster="id", mean="y ~ poly(x, 2) + f + day")
SLOPE = Model(cluster="id", mean="y ~ x", residual={"by": "f"}, random={"terms": {"intercept": "1", "slope": "x"}})


def examples(count: int) -> Callable[[Any], Any]:
    """So many examples, the same ones each time."""
    calm = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=calm)


def understood(use: Callable[[], Any]) -> Any:
    """The result; None where it was refused in words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SaemWarning)
        warnings.simplefilter("ignore", RuntimeWarning)  # of numpy, about numbers that are then refused
        try:
            return use()
        except SaemError as error:
            assert str(error)
            return None


def use_model(text: str) -> None:
    model = understood(lambda: Model.from_text(text))
    if model is not None:
        assert Model.from_text(model.to_toml()) == model
        understood(lambda: arrange(model, TABLE, drop_missing=True))


def use_expression(text: str) -> None:
    understood(lambda: rows_where(TABLE, text))
    understood(lambda: arrange(PLAIN.replace(mean={"mu": text}), TABLE))


def use_constraint(text: str) -> None:
    names = understood(lambda: parameters_of("g", text))
    if names is not None and set(names) <= set(strategies.PARAMETERS):
        understood(lambda: source_of([Function("constraint 'g'", *split("g", text))], strategies.PARAMETERS))


def use_formula(text: str) -> None:
    understood(lambda: arrange(Model(cluster="id", mean=text), TABLE))


def use_frame(table: pd.DataFrame) -> None:
    for model in (PLAIN, FORMULA, SLOPE):
        understood(lambda model=model: arrange(model, table, drop_missing=True))


def use_file(file: tuple[str, bytes]) -> None:
    name, content = file
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        table = understood(lambda: read_table(path, ("id", "f")))
    if table is not None:
        use_frame(table)


WAYS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], None]]] = {
    "model": (strategies.model_texts(), use_model),
    "expression": (strategies.expressions(strategies.COLUMNS), use_expression),
    "constraint": (strategies.constraints(), use_constraint),
    "formula": (strategies.formulas(), use_formula),
    "table": (strategies.table_files(), use_file),
}


def fuzz(way: str, count: int) -> None:
    strategy, use = WAYS[way]

    @examples(count)
    @given(strategy)
    def each(example: Any) -> None:
        use(example)

    each()


@pytest.mark.parametrize("way", WAYS)
def test_a_few(way):
    fuzz(way, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_many(way):
    fuzz(way, strategies.MANY // len(WAYS))


# Saved fits


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folders of saved fits with all that a fit may have."""
    folder = tmp_path_factory.mktemp("saved")
    draws = np.random.default_rng(1).normal(size=(2, 5, 7))
    posterior = Posterior(
        draws=draws,
        stats={"diverging": np.zeros((2, 5), bool), "energy": draws[..., 0]},
        priors={"mu": "normal(0, 1)"},
        determined={"c2": "g"},
        rhat=np.ones(7),
        ess_bulk=np.ones(7),
        ess_tail=np.ones(7),
        tune=3,
        target_accept=0.9,
        implied={"c2": (-1.0, np.inf)},
    )
    storable_fit(method="bayes", drawn=0, posterior=posterior).save(folder / "posterior")
    paths = (np.ones((3, 7)), np.ones((4, 7)))
    storable_fit(method="chains", chains=np.ones((2, 7)), chain_paths=paths).save(folder / "chains")
    saem.fit(PLAIN, TABLE, seed=1).save(folder / "saem")
    with pytest.warns(SaemWarning, match="counts days since"):
        saem.fit(Model(cluster="id", mean="y ~ poly(x, 2) + day"), TABLE, "ml").save(folder / "formula")
    return folder


def use_fit(folder: Path) -> None:
    fit = understood(lambda: saem.load(folder))
    if fit is not None:
        fit.summary()
        fit.to_frame()
        fit.trace.describe()
        understood(lambda: saem.variances(fit))
        understood(lambda: saem.predict(fit, TABLE))
        understood(lambda: saem.residuals(fit))
        if fit.continuation is not None:
            understood(lambda: fit.resume(Target(mcse=1e9, max_draws=1)))


def fuzz_fits(saved: Path, count: int) -> None:
    fits = [SavedFit(path) for path in sorted(saved.iterdir())]

    @examples(count)
    @given(st.data())
    def each(data: st.DataObject) -> None:
        fit = data.draw(st.sampled_from(fits))
        part = data.draw(st.sampled_from(["content", "arrays", "archive", "bytes"]))
        try:
            if part == "content":
                content = fit.content
                data.draw(tampered_content(content))
                fit.seal(content)
            elif part == "arrays":
                arrays = fit.arrays
                data.draw(tampered_arrays(arrays))
                fit.seal(fit.content, archive_of(arrays))
            elif part == "archive":
                fit.seal(fit.content, data.draw(tampered_archives(fit.files["arrays.npz"])))
            else:  # by somebody who knows nothing of seals
                name = data.draw(st.sampled_from(sorted(fit.files)))
                fit.write(name, strategies.changed(data.draw, fit.files[name]))
            use_fit(fit.folder)
        finally:
            fit.put_back()

    each()


def test_a_few_saved_fits(saved):
    fuzz_fits(saved, 2 * FEW)


@pytest.mark.slow
def test_many_saved_fits(saved):
    fuzz_fits(saved, strategies.MANY)
