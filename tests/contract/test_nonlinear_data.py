"""Tables of nonlinear models: what is made of them, and what is refused, row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from tree_values import value

from saem.errors import DataError, ModelError
from saem.families.nonlinear.data import NonlinearData, arrange
from saem.families.nonlinear.describe import describe
from saem.families.nonlinear.other_rows import arrange_others
from saem.families.nonlinear.specification import NonlinearModel

HEAD = 'family = "nonlinear"\nresponse = "y"\ncluster = "id"\n'
NORMAL = '[outcome]\ndistribution = "normal"\nmean = "{mean}"\nsd = "s"\n'
EFFECT = '[individual]\nV = "normal(v, o)"\n'


def table(**columns: object) -> pd.DataFrame:
    """Six clusters of three rows."""
    rng = np.random.default_rng(2)
    found = pd.DataFrame({
        "id": np.repeat(np.arange(6), 3), "time": np.tile([0.5, 1.0, 2.0], 6), "sex": np.repeat(["F", "M"], 9),
        "weight": np.repeat(rng.uniform(50.0, 90.0, 6), 3), "y": rng.uniform(1.0, 9.0, 18),
    })  # fmt: skip
    return found.assign(**columns)


def model(text: str) -> NonlinearModel:
    return NonlinearModel.from_text(HEAD + text)


def arranged(text: str, data: pd.DataFrame | None = None, **more: object) -> NonlinearData:
    return arrange(model(text), table() if data is None else data, **more)


COVARIATES = (
    'columns = ["time", "weight", "sex"]\n[individual]\nV = "lognormal(v * (weight / 70)**b, o)"\n'
    "k = \"lognormal(k0 * exp(c * (sex == 'F')) * time**d, q)\"\n" + NORMAL.format(mean="V * exp(-k * time)")
)


def test_columns_and_what_is_constant_in_clusters():
    data = arranged(COVARIATES)
    assert list(data.columns) == ["y", "weight", "sex", "time"]
    assert data.constant_columns == {"weight", "sex"}
    assert [len(effect.centre) for effect in data.structure.effects] == [2, 0]  # k depends on time
    assert data.parameters.names == ("v", "b", "k0", "c", "d", "s", "o", "q")
    assert data.warnings == () and data.term_names == ("V", "k")
    assert data.columns["y"].dtype == np.float64


def test_a_warning_of_columns_that_nothing_uses():
    data = arranged('columns = ["weight"]\n' + EFFECT + NORMAL.format(mean="V"))
    assert data.warnings == ("columns lists 'weight', which no expression uses",)


def test_missing_values_are_refused_or_left_out():
    text = COVARIATES
    missing = table()
    missing.loc[4, "weight"] = np.nan
    with pytest.raises(DataError, match="missing or infinite values in column 'weight': 1 of 18 rows, the first is"):
        arranged(text, missing)
    data = arranged(text, missing, drop_missing=True)
    assert len(data.response) == 17 and data.n_dropped == 1


def test_a_linear_predictor_is_its_formula():
    text = '[linear]\neta = "~ time * sex"\n[individual]\nb = "normal(0, o)"\n' + NORMAL.format(mean="eta + b")
    data = arranged(text)
    assert data.parameters.names == ("eta_intercept", "eta_time", "eta_sex_M", "eta_time_x_sex_M", "s", "o")
    x = {"eta_intercept": 1.0, "eta_time": 0.5, "eta_sex_M": -2.0, "eta_time_x_sex_M": 0.25, "s": 0.7}
    male = (table()["sex"] == "M").to_numpy()
    time = table()["time"].to_numpy()
    expected = stats.norm(1.0 + 0.5 * time - 2.0 * male + 0.25 * time * male + 0.1, 0.7).logpdf(data.response)
    found = value(data.structure.log_density, data.columns | x | {"z.b": 0.1})
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    again = arrange(model(text), table().head(9), formula_state=data.formula_state)  # only F: the levels are kept
    assert again.parameters.names == data.parameters.names


def test_a_constraint_may_name_a_coefficient_and_start_too():
    text = '[linear]\neta = "~ time"\n' + NORMAL.format(mean="eta") + "[start]\neta_time = 2.0\n"
    assert arranged(text).structure.start == {"eta_time": 2.0}
    with pytest.raises(ModelError, match=r"\[start\] names 'eta_tim' \(did you mean 'eta_time'\?\)"):
        arranged(text.replace("eta_time", "eta_tim"))


def test_other_rows_have_the_columns_of_the_fit():
    """With the constants of the fit: its mean of time, and its levels; a new cluster is none of its."""
    text = '[linear]\neta = "~ center(time) + sex"\n[individual]\nb = "normal(0, o)"\n' + NORMAL.format(mean="eta + b")
    data = arranged(text)
    others = pd.DataFrame({"id": [0, 99], "time": [1.0, 1.0], "sex": ["M", "F"]})
    rows = arrange_others(model(text), table(), data, others)
    x = dict(zip(data.parameters.names, [1.0, 0.5, -2.0, 0.7, 0.3], strict=True))
    centre = table()["time"].mean()
    expected = [1.0 + 0.5 * (1.0 - centre) - 2.0, 1.0 + 0.5 * (1.0 - centre)]
    np.testing.assert_allclose(value(data.structure.mean, rows.columns | x | {"z.b": 0.0}), expected)
    assert rows.cluster.tolist() == [0, -1]
    with pytest.raises(DataError, match="column 'sex' has the level 'X'"):
        arrange_others(model(text), table(), data, others.assign(sex="X"))


def test_other_rows_of_a_covariate_that_was_one_throughout():
    text = 'columns = ["weight"]\n[linear]\neta = "~ 0 + time"\n' + NORMAL.format(mean="eta * weight")
    data = arranged(text, table(time=1.0))
    rows = arrange_others(model(text), table(time=1.0), data, table(time=3.0))
    found = value(data.structure.mean, rows.columns | {"eta_time": 2.0})
    np.testing.assert_allclose(found, 6.0 * table()["weight"])


def test_an_offset_is_added():
    data = arranged('[linear]\neta = "~ time + offset(weight)"\n' + NORMAL.format(mean="eta"))
    at = data.columns | {"eta_intercept": 0.5, "eta_time": 2.0, "s": 1.0}
    mean = 0.5 + 2.0 * table()["time"] + table()["weight"]
    np.testing.assert_allclose(value(data.structure.log_density, at), stats.norm(mean, 1.0).logpdf(data.response))


#: A model, columns to change, and what must be said.
REFUSED = {
    "a column misspelt": (
        'columns = ["weigth"]\n' + EFFECT + NORMAL.format(mean="V * weigth"),
        {},
        r"the model needs column 'weigth' \(did you mean 'weight'\?\)",
    ),
    "a level misspelt": (
        'columns = ["sex"]\n' + EFFECT + NORMAL.format(mean="where(sex == 'Mm', V, 0)"),
        {},
        r"outcome.mean: column 'sex' has no level 'Mm' \(did you mean 'M'\?\)",
    ),
    "a text as a number": (
        'columns = ["sex"]\n' + EFFECT + NORMAL.format(mean="V * sex"),
        {},
        "outcome.mean: column .*sex.* holds text, but .* uses it as a number",
    ),
    "the logarithm of a weight of 0": (
        'columns = ["weight"]\n[individual]\nV = "lognormal(v * weight**b, o)"\n' + NORMAL.format(mean="V"),
        {"weight": [0.0] * 3 + [60.0] * 15},
        r"individual.V: its median needs 'log\(weight\)', which is no finite number in 3 rows, first in data row 1 ",
    ),
    "a 2 among zeros and ones": (
        '[outcome]\ndistribution = "bernoulli"\nprobability = "p"\n',
        {"y": [0.0, 1.0, 2.0] * 6},
        r"Bernoulli outcomes 'y' must be 0 or 1; got 2 in data row 3 .* and 5 more",
    ),
    "a negative count": (
        '[outcome]\ndistribution = "poisson"\nrate = "r"\n',
        {"y": [0.0, 3.0, -1.0] * 6},
        "Poisson outcomes 'y' must be whole numbers, 0 or larger; got -1 in data row 3",
    ),
    "half a count": (
        '[outcome]\ndistribution = "negative_binomial"\nmean = "r"\nshape = "k"\n',
        {"y": [0.0, 3.5, 1.0] * 6},
        "negative binomial outcomes 'y' must be whole numbers, 0 or larger; got 3.5 in data row 2",
    ),
    "more successes than trials": (
        '[outcome]\ndistribution = "binomial"\nprobability = "p"\ntrials = "n"\n',
        {"y": [0.0, 3.0, 1.0] * 6, "n": 2},
        "binomial outcomes 'y' must be whole numbers from 0 to the number of trials; got 3 in data row 2",
    ),
    "no trials": (
        '[outcome]\ndistribution = "binomial"\nprobability = "p"\ntrials = "n"\n',
        {"y": [0.0, 3.0, 1.0] * 6, "n": [3, 3, 0] * 6},
        "the trials 'n' must be whole numbers, 1 or larger; got 0 in data row 3",
    ),
    "trials as text": (
        '[outcome]\ndistribution = "binomial"\nprobability = "p"\ntrials = "n"\n',
        {"y": [0.0, 3.0, 1.0] * 6, "n": ["3", "3", "many"] * 6},
        "the column 'n' must hold numbers; got the text",
    ),
    "a category too high": (
        '[outcome]\ndistribution = "ordinal"\npredictor = "e"\ncuts = ["a", "b"]\n',
        {"y": [1.0, 2.0, 4.0] * 6},
        "ordinal outcomes 'y' must be .* from 1 to one more than there are cuts; got 4 in .*there are 2 cuts",
    ),
    "a log-normal zero": (
        '[outcome]\ndistribution = "lognormal"\nmedian = "m"\nsd = "s"\n',
        {"y": [1.0, 2.0, 0.0] * 6},
        "log-normal outcomes 'y' must be positive numbers; got 0 in data row 3",
    ),
    "a negative time": (
        '[outcome]\ndistribution = "weibull"\nscale = "m"\nshape = "s"\n',
        {"y": [1.0, 2.0, -2.0] * 6},
        "times 'y' must be 0 or larger; got -2 in data row 3",
    ),
    "an event at time 0": (
        '[outcome]\ndistribution = "weibull"\nscale = "m"\nshape = "s"\nevent = "status"\n',
        {"y": [1.0, 2.0, 0.0] * 6, "status": 1},
        "the time 'y' of an event must be larger than 0; got 0 in data row 3",
    ),
    "an event of 2": (
        '[outcome]\ndistribution = "weibull"\nscale = "m"\nshape = "s"\nevent = "status"\n',
        {"status": [1, 2, 0] * 6},
        "the column 'status' must be 1 for an event, else 0; got 2 in data row 2",
    ),
    "limits in the wrong order": (
        NORMAL.format(mean="m") + 'lower = "low"\nupper = 3\n',
        {"low": [1.0, 4.0, 2.0] * 6},
        "the lower limit 'low' must be below the upper one, 3; got 4 in data row 2",
    ),
    "an interval in the wrong order": (
        NORMAL.format(mean="m") + 'interval = ["low", "high"]\n',
        {"low": 2.0, "high": 1.0},
        "the ends 'low' and 'high' of the interval must be in order; got 2 in data row 1",
    ),
    "a response outside its interval": (
        NORMAL.format(mean="m") + 'interval = ["low", "high"]\n',
        {"low": 20.0, "high": 30.0},
        "the response 'y' must lie between 'low' and 'high'",
    ),
    "a limit of 0": (
        '[outcome]\ndistribution = "lognormal"\nmedian = "m"\nsd = "s"\nlower = 0\n',
        {},
        "the limit 0 of a log-normal outcome must be positive",
    ),
    "one cluster": (
        EFFECT + NORMAL.format(mean="V"),
        {"id": 1},
        r"the SD 'o' cannot be estimated from one cluster \(cluster = \['id'\]\)",
    ),
    "a group that varies within a cluster": (
        EFFECT + '[random]\nby = "sex"\nsd.o = { F = "o_F", M = "o_M" }\n' + NORMAL.format(mean="V"),
        {"sex": ["F", "M", "F"] * 6},
        "the column 'sex' of the variance groups must be constant within each cluster",
    ),
    "a group without rows": (
        EFFECT + '[random]\nby = "sex"\nsd.o = { F = "o_F", X = "o_X" }\n' + NORMAL.format(mean="V"),
        {},
        "9 rows have the level 'M' of column 'sex'",
    ),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_table_that_does_not_fit_is_refused(mistake):
    text, columns, expected = REFUSED[mistake]
    with pytest.raises(DataError, match=expected):
        arranged(text, table(**columns))


def test_a_censored_log_normal_response_may_be_0():
    text = '[outcome]\ndistribution = "lognormal"\nmedian = "m"\nsd = "s"\nlower = 0.5\n'
    data = arranged(text, table(y=[0.0, 1.0, 2.0] * 6))
    found = value(data.structure.log_density, data.columns | {"m": 1.0, "s": 1.0})
    np.testing.assert_allclose(found[:2], [stats.norm.logcdf(np.log(0.5)), stats.lognorm(1.0).logpdf(1.0)])


def test_times_of_0_without_event_are_taken():
    text = '[outcome]\ndistribution = "weibull"\nscale = "m"\nshape = "s"\nevent = "status"\n'
    data = arranged(text, table(y=[0.0, 1.0, 2.0] * 6, status=[False, True, False] * 6))
    found = value(data.structure.log_density, data.columns | {"m": 1.0, "s": 2.0})
    np.testing.assert_allclose(found[:3], [0.0, stats.weibull_min(2.0).logpdf(1.0), -4.0])


def test_warnings_of_what_the_rows_hardly_say():
    single = table(id=np.arange(18))
    assert (
        "each of the 18 rows is a cluster of its own" in arranged(EFFECT + NORMAL.format(mean="V"), single).warnings[0]
    )
    three = '[individual]\nV = "normal(v, o)"\nU = "normal(u, q)"\nT = "normal(t, r)"\n' + NORMAL.format(
        mean="V * U + T"
    )
    assert "no cluster has more than 3 rows, for 3 random effects" in arranged(three).warnings[0]
    assert arranged(EFFECT + NORMAL.format(mean="V") + "[fixed]\no = 1.0\n", single).warnings == ()


def test_a_warning_of_one_time_in_each_cluster():
    """As survival data of subjects come: a row at 0, and one time."""
    text = (
        '[individual]\nT = "lognormal(t, o)"\n[outcome]\ndistribution = "weibull"\nscale = "T"\nshape = "k"\n'
        'event = "status"\n'
    )
    times = pd.DataFrame({"id": np.repeat(np.arange(9), 2), "y": [0.0, 5.0] * 9, "status": [0, 1] * 9})
    assert "no cluster has more than one row that tells something" in arranged(text, times).warnings[0]
    assert arranged(text, times.assign(y=[2.0, 5.0] * 9)).warnings == ()


def test_a_warning_of_kinks_that_parameters_move():
    text = 'columns = ["time"]\n' + EFFECT
    data = arranged(text + NORMAL.format(mean="where(time > lag, V, 0)"))
    assert "outcome.mean: 'where(time > lag, V, 0)' has a kink that parameters move" in data.warnings[0]
    assert arranged(text + NORMAL.format(mean="where(time > 1, V, 0)")).warnings == ()


def test_a_warning_of_a_category_without_rows():
    text = '[outcome]\ndistribution = "ordinal"\npredictor = "0"\ncuts = ["a", "b"]\n'
    assert "no row has the response 2 of 3" in arranged(text, table(y=[1.0, 3.0, 1.0] * 6)).warnings[0]


def test_cuts_start_in_order_where_the_frequencies_are():
    text = '[outcome]\ndistribution = "ordinal"\npredictor = "e"\ncuts = ["a", "b", "c"]\n'
    y = np.array([1.0, 1.0, 4.0] * 6)
    start = arranged(text, table(y=y)).structure.start
    counts = np.array([12.0, 0.0, 0.0, 6.0]) + 0.5
    below = np.cumsum(counts)[:-1] / counts.sum()
    assert list(start) == ["a", "b", "c"]
    np.testing.assert_allclose(list(start.values()), np.log(below / (1.0 - below)))
    said = arranged(text + "[start]\na = -1.0\nb = 0.0\nc = 1.0\n", table(y=y))
    assert said.structure.start == {"a": -1.0, "b": 0.0, "c": 1.0}


def test_what_people_are_told():
    text = (
        COVARIATES.replace("[individual]", '[linear]\neta = "~ sex"\n[individual]').replace("exp(-k * time)", "eta")
        .replace('k = "lognormal', '# k = "lognormal') + "lower = 2\n[fixed]\nb = 0.75\n[start]\nv = 3\n"
    )  # fmt: skip
    data = arranged(text)
    sections = {section.title: section for section in describe(model(text), data)}
    told = {row[0]: row[1:] for row in sections["Parameters"].rows}
    assert told["v"] == ["positive", "the median of V", "3", ""]
    assert told["b"] == ["real", "the median of V", "", "0.75"]
    assert told["eta_sex_M"] == ["real", "eta: sex[M]", "", ""]
    assert told["s"] == ["residual SD", "the sd of the outcome", "", ""]
    assert told["o"] == ["random-effect SD", "V", "", ""]
    assert sections["Individual parameters"].rows[0] == ["V", "log-normal", "lognormal(v * (weight / 70)**b, o)"]
    censored = int((table()["y"] <= 2.0).sum())
    assert sections["Outcome (normal)"].notes == (f"18 rows, {censored} censored",)
    assert sections["Clusters (id)"].rows == [["all", "6", "18", "3"]]
