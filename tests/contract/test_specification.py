"""Models: from TOML and from Python, their names, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from effort import effort

from saem import recipes
from saem.errors import ConstraintError, ExpressionError, ModelError
from saem.families import Model
from saem.families.linear.specification import Residual
from saem.specification.random_effects import RandomEffects

MEAN = {"mu": "1", "slope": "days"}


def model(**changes: Any) -> Model:
    return Model(**{"response": "y", "cluster": "subject", "mean": MEAN, **changes})


def test_defaults() -> None:
    plain = model()
    assert plain.family == "linear"
    assert plain.cluster == ("subject",)
    assert plain.random.terms == {"intercept": "1"}
    assert plain.random.covariance == "diagonal"
    assert plain.parameter_names == ("mu", "slope", "sd_intercept", "sigma")


def test_several_terms_are_correlated_unless_said_otherwise() -> None:
    terms = {"intercept": "1", "days": "days"}
    assert model(random={"terms": terms}).parameter_names == (
        *MEAN, "sd_intercept", "sd_days", "corr_intercept_days", "sigma"
    )  # fmt: skip
    assert model(random={"terms": terms, "covariance": "diagonal"}).parameter_names == (
        *MEAN, "sd_intercept", "sd_days", "sigma"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("random", "names"),
    [
        ({"sd": "tau"}, ("tau",)),
        ({"by": "arm", "sd": {"a": "s1", "b": "s2"}}, ("s1", "s2")),
        ({"by": "arm", "sd": {"a": "s", "b": "s"}}, ("s",)),
        ({"by": "arm", "sd": {1: "s1", 2.0: "s2"}}, ("s1", "s2")),
        ({"by": "arm", "sd": {"a": "s1", "b": "sigma"}}, ("s1", "sigma")),
        ({"terms": {"i": "1", "d": "days"}, "sd": {"d": "sd", "i": "si"}}, ("si", "sd", "corr_i_d")),
        (
            {"by": "arm", "terms": {"i": "1", "d": "days"}, "sd": {k: {"i": f"i{k}", "d": f"d{k}"} for k in "ab"}},
            ("ia", "da", "ib", "db", "corr_i_d_a", "corr_i_d_b"),
        ),
    ],
)
def test_names_of_random_effects(random: dict[str, Any], names: tuple[str, ...]) -> None:
    expected = (*MEAN, *names, "sigma")
    assert model(random=random).parameter_names == tuple(dict.fromkeys(expected))


def test_names_that_depend_on_the_data() -> None:
    assert model(random={"by": "arm"}).parameter_names is None
    assert model(residual={"by": "arm"}).parameter_names is None
    assert model(mean="y ~ days").parameter_names is None
    assert RandomEffects(by="arm").sd_names("high dose") == ("sd_intercept_high_dose",)
    assert Residual(by="arm").sd_name("B/1") == "sigma_B_1"


def test_levels_as_numbers_are_texts() -> None:
    assert model(residual={"by": "arm", "sd": {1: "a", 2.0: "b"}}).residual.sd == {"1": "a", "2": "b"}


def test_numbers_are_row_expressions() -> None:
    assert model(mean={"mu": 1}).mean == {"mu": "1"}


def test_the_response_may_come_from_the_formula() -> None:
    assert Model(cluster="s", mean="`log y` ~ days").response == "log y"
    assert Model(cluster="s", mean="~ days", response="y").response == "y"


# TOML

ALL = """
family = "linear"
response = "y"
cluster = ["subject", "visit"]

[mean]
mu = "1"
drug = "arm == 'drug µ'"

[random]
by = "arm"
covariance = "full"
terms = { i = "1", d = "days" }
sd = { "drug µ" = { i = "i1", d = "d1" }, placebo = { i = "i2", d = "d1" } }

[residual]
by = "lab"
sd = { A = "sA", B = "sB" }

[constraints]
g = '''drug ==
       exp(i1**2)'''

[fixed]
sB = 1
"""


def test_everything_survives_toml() -> None:
    full = Model.from_text(ALL)
    again = Model.from_text(full.to_toml())
    assert again == full
    assert again.digest == full.digest
    assert hash(again) == hash(full)
    assert full.fixed == {"sB": 1.0}
    assert full.random.sd_names("placebo") == ("i2", "d1")


@pytest.mark.parametrize("name", recipes.names())
def test_recipes_survive_toml(name: str) -> None:
    recipe = Model.from_text(recipes.text(name))
    assert Model.from_text(recipe.to_toml()) == recipe


def test_a_formula_survives_toml() -> None:
    assert Model.from_text(model(mean="y ~ a * b").to_toml()) == model(mean="y ~ a * b")


def test_digests() -> None:
    digests = {
        model().digest,
        model(mean={"slope": "days", "mu": "1"}).digest,
        model(fixed={"mu": 0.0}).digest,
        model(random={"sd": "tau"}).digest,
        model(constraints={"g": "mu == slope"}).digest,
    }
    assert len(digests) == 5
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in digests)
    assert model().digest == model(random={"terms": {"intercept": "1"}}).digest


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (os.devnull, "is a device or a pipe; write the model to a file first"),
        ("pipe.toml", "is a device or a pipe"),  # of which nobody writes the other end
        ("a" * 5_000, "cannot be read: File name too long"),
        ("a\0b", "cannot be read: embedded null byte"),
    ],
)
def test_model_files_that_are_none(tmp_path: Path, name: str, message: str) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(ModelError, match=message):
        Model.from_toml(tmp_path / name)


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "model.toml"
    file.write_bytes(b"\xef\xbb\xbf" + ALL.replace("\n", "\r\n").encode())  # as Windows' editor saves it
    assert Model.from_toml(file) == Model.from_text(ALL)
    with pytest.raises(ModelError, match=r"no model file .*modle\.toml.*saem recipe"):
        Model.from_toml(tmp_path / "modle.toml")
    with pytest.raises(ModelError, match="cannot be read"):
        Model.from_toml(tmp_path)
    file.write_bytes(ALL.encode("latin-1"))
    with pytest.raises(ModelError, match="UTF-8"):
        Model.from_toml(file)
    file.write_bytes(b"#" * 70_000)
    with pytest.raises(ModelError, match="larger than 64 kB"):
        Model.from_toml(file)


def test_replace_makes_a_validated_copy() -> None:
    fixed = model().replace(fixed={"slope": 0.0})
    assert fixed.fixed == {"slope": 0.0}
    assert model().fixed == {}
    with pytest.raises(ModelError, match=r"'slop' \(did you mean 'slope'\?\)"):
        model().replace(fixed={"slop": 0.0})


def test_models_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        model().response = "z"  # type: ignore[misc]


# What is refused.

TWO = {"i": "a", "d": "b"}
BASE = "response = 'y'\ncluster = 's'\n"


def test_all_mistakes_are_listed_at_once() -> None:
    text = """
    respnse = "y"
    cluster = 3
    family = "liner"
    [mean]
    lambda = "1"
    a = "__import__('os')"
    [random]
    bye = "t"
    covariance = "ful"
    [residual]
    sd = { a = "b" }
    [constraints]
    g = "c2 = 3"
    h = "1 == 2"
    [fixed]
    x = "z"
    """
    with pytest.raises(ModelError) as caught:
        Model.from_text(text, "peptide.toml")
    message = str(caught.value)
    assert message.startswith("peptide.toml is not a valid model:\n  - ")
    assert len(caught.value.problems) == 12
    for part in [
        "unknown key 'respnse' (did you mean 'response'?)",
        "the key 'response' is missing",
        "cluster must be the name of a column, or a list of names; got 3",
        "family: must be 'crossed', 'crossed_glmm', 'extended', 'glmm', 'linear', 'nonlinear'; got 'liner' "
        "(did you mean 'linear'?)",
        "mean: lambda: a mean parameter must not be named like a word of the expression language; got 'lambda'",
        "mean: a: there is no function '__import__'",
        "random: unknown key 'bye' (did you mean 'by'?); the keys are sd, by, terms, covariance",
        "random: covariance must be 'diagonal' or 'full'; got 'ful' (did you mean 'full'?)",
        "residual: sd has the levels 'a', but nothing says of which column",
        "constraint 'g': cannot read the expression 'c2 = 3'",
        "constraint 'h' involves no parameter",
        "fixed.x must be a finite number; got 'z'",
    ]:
        assert part in message


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"response": ""}, ["response must not be empty"]),
        ({"response": 3}, ["response must be a text in quotes; got 3"]),
        ({"cluster": ()}, ["cluster must not be empty"]),
        ({"cluster": ["s", "s"]}, ["cluster: must not name a column twice; got 's', 's'"]),
        ({"mean": {}}, ["mean: must be a table with at least one line", "got {}"]),
        ({"mean": 3}, ["mean: must be a table", "got 3"]),
        ({"mean": {"mu": True}}, ["mean: mu: the expression must be a text in quotes; got True"]),
        ({"mean": {"2b": "1"}}, ["mean: 2b: a mean parameter must be named by letters", "got '2b'"]),
        ({"mean": {"µ": "1"}}, ["letters a-z", "got 'µ'"]),
        ({"mean": {"a" * 65: "1"}}, ["at most 64 long"]),
        ({"mean": {"exp": "1"}}, ["word of the expression language; got 'exp'"]),
        ({"mean": {"mu": "y + 1"}}, ["mean.mu must not use the response 'y' itself; got 'y + 1'"]),
        (
            {"mean": {"sigma": "1"}},
            ["'sigma' is used both as a mean and as a standard deviation", "tie them by a constraint"],
        ),
        ({"mean": {f"m{i}": "1" for i in range(201)}}, ["at most 200 lines; got 201"]),
        ({"mean": "y"}, ["formula with one '~'", "got 'y'"]),
        ({"mean": "z ~ a"}, ["response is 'y', but the formula 'z ~ a' says 'z'"]),
        ({"mean": "log(y) ~ a"}, ["response is 'y', but the formula 'log(y) ~ a' says 'log(y)'"]),
        ({"mean": "2 ~ a"}, ["left side of the formula must be a column"]),
        ({"mean": "poly(y, 2) ~ a"}, ["poly(y, 2) has several columns"]),
        ({"mean": "y ~ "}, ["right side of the formula must not be empty"]),
        ({"mean": "y ~ a + (1|s)"}, ["'|'", "random effects are written in [random]"]),
        ({"mean": "y ~ a**0.5"}, ["a ** 0.5", "arithmetic is written within I(..)"]),
        ({"mean": "y ~ a + 2 * x"}, ["number 2 is no term", "I(2 * x)"]),
        ({"mean": "y ~ x > 2"}, ["write I(x > 2)"]),
        ({"mean": "y ~ ."}, ["name each column"]),
        ({"mean": "y ~ x %o% z"}, ["only %in% is known"]),
        ({"mean": "y ~ offset(x):a"}, ["an offset is added to the mean"]),
        ({"mean": "y ~ bs(x, df=3, knots=[a])"}, ["knots cannot be [a]"]),
        ({"mean": "y ~ poly(x, 2.5)"}, ["degree must be a whole number from 1 to 100"]),
        ({"mean": "y ~ poly(x, 2, simple=TRUE)"}, ["setting 'simple'; its settings are degree, raw"]),
        ({"mean": "y ~ log(bs(x, df=4))"}, ["bs(x, df=4) has several columns"]),
        ({"mean": "y ~ C(f, Helmert('a'))"}, ["Helmert('a') is no contrast"]),
        ({"mean": "y ~ C(f, Anything)"}, ["the contrasts are Treatment, Sum, Helmert, Poly, Diff"]),
        ({"mean": "y ~ C(x + 1)"}, ["C(x + 1)", "must be of a column"]),
        ({"mean": "y ~ cbind(a, b)"}, ["cannot call 'cbind' (a model has one response: of successes"]),
        ({"mean": "y ~ a - a - 1"}, ["no term"]),
        ({"mean": "y ~ " + "(" * 60 + "a" + ")" * 60}, ["nested too deeply"]),
        ({"mean": "y ~ open(a)"}, ["cannot call 'open'"]),
        ({"mean": "y ~ log(open(a))"}, ["cannot call 'open'"]),
        ({"mean": "y ~ __import__('os')"}, ["cannot call '__import__'"]),
        ({"mean": "y ~ C(x, __import__('os'))"}, ["the contrasts are"]),
        ({"mean": "y ~ C(x, Treatment(open('f')))"}, ["Treatment(open('f')) is no contrast"]),
        ({"mean": "y ~ Treatment('a')"}, ["cannot call 'Treatment' (a contrast stands within C()"]),
        ({"mean": "y ~ x + 'a'"}, ["has the text 'a' as a term"]),
        ({"mean": "y ~ y + x"}, ["must not use the response 'y' itself"]),
        ({"mean": "y ~ {a}"}, ["contains '{'"]),
        ({"mean": "y ~ a a"}, ["cannot be read"]),
        ({"mean": "y ~ ((a+b+c+d+e+f+g+h+i)**4)**4"}, ["at most 300 terms"]),
        ({"mean": "y ~ " + "*".join("abcdefghijklmnop")}, ["at most 300 terms"]),
        ({"mean": "y ~ a" + "+a" * 600}, ["at most 1000 characters"]),
        ({"random": {"sd": 3}}, ["random: sd: must be a name, or a table level -> name or term -> name; got 3"]),
        ({"random": {"sd": "2b"}}, ["random: sd: an SD must be named by letters", "got '2b'"]),
        ({"random": {"sd": {"a": "s1"}}}, ["levels 'a', but nothing says of which column", "add by = "]),
        ({"random": {"by": "arm", "sd": "s"}}, ["one name for each level of 'by'; got the single name 's'"]),
        ({"random": {"terms": {"i": "1", "d": "x"}, "sd": "s"}}, ["one name for each term; got the single name 's'"]),
        ({"random": {"terms": {"i": "1", "d": "x"}, "sd": {"i": "s"}}}, ["each of the terms 'i', 'd'; got 'i'"]),
        (
            {"random": {"by": "arm", "terms": {"i": "1", "d": "x"}, "sd": {"a": "s"}}},
            ["sd of level 'a' must name an SD for each of the terms 'i', 'd'; got 's'"],
        ),
        ({"random": {"terms": {}}}, ["random: terms: must be a table with at least one line"]),
        ({"random": {"terms": {"i": "1 +"}}}, ["random: terms: i: cannot read the expression '1 +'"]),
        ({"random": {"terms": {f"t{i}": "1" for i in range(21)}}}, ["at most 20 lines; got 21"]),
        ({"random": {"by": ""}}, ["by must not be empty"]),
        ({"random": "sd"}, ["random must be a table of keys and values; got 'sd'"]),
        ({"residual": {"sd": {"a": {"b": "c"}}, "by": "lab"}}, ["residual: sd: must be a name, or a table"]),
        ({"residual": {"by": "lab", "sd": "s"}}, ["one name for each level of 'by'; got the single name 's'"]),
        ({"constraints": {"g": "mu == slop"}}, ["constraint 'g' names 'slop' (did you mean 'slope'?)"]),
        ({"constraints": {"": "mu == slope"}}, ["a constraint needs a short printable name; got ''"]),
        ({"constraints": {f"g{i}": "mu == 1" for i in range(51)}}, ["at most 50 constraints; got 51"]),
        ({"constraints": {"g": "mu == 2"}, "fixed": {"mu": 1.0}}, ["'g' involves only fixed parameters ('mu')"]),
        ({"fixed": {"m": 1.0}}, ["[fixed] names 'm'", "the parameters are 'mu', 'slope'"]),
        ({"fixed": {"mu": True}}, ["fixed.mu must be a finite number; got True"]),
        ({"fixed": {"mu": float("nan")}}, ["fixed.mu must be a finite number; got nan"]),
        ({"fixed": {"sigma": -1.0}}, ["sigma: a standard deviation must be 0 or larger; got -1"]),
        ({"fixed": {"sigma": 0.0}}, ["sigma: a residual SD must be positive; got 0"]),
        ({"random": {"terms": {"i": "1", "d": "x"}}, "fixed": {"corr_i_d": 1.0}}, ["must lie in (-1, 1); got 1"]),
        ({"fixed": dict.fromkeys((*MEAN, "sd_intercept", "sigma"), 1.0)}, ["every parameter is in [fixed]"]),
        ({"colour": "red"}, ["unknown key 'colour'", "the keys are family, response"]),
    ],
)
def test_bad_models(changes: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        model(**changes)
    for part in parts:
        assert part in str(caught.value)


def test_errors_are_of_the_most_special_class() -> None:
    with pytest.raises(ConstraintError):
        model(constraints={"g": "mu == "})
    with pytest.raises(ExpressionError):
        model(mean={"mu": "1 +"})
    with pytest.raises(ModelError) as caught:
        model(mean={"mu": "1 +"}, constraints={"g": "mu == "})
    assert type(caught.value) is ModelError


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("response = y", "not valid TOML"),
        (BASE + "[mean]\nmu = treatment == 'a'", "texts such as expressions must be between quotes"),
        (BASE + "[mean]\nmu = '1'\nmu = '1'", "not valid TOML"),
        ("self = 1", "unknown key 'self'"),
        ("a" + ".a" * 30_000 + " = 1", "too long"),
        ("\n".join("a." * 150 + f"k{i} = 1" for i in range(150)), "unknown key 'a'"),
        ("a." * 3900 + "k = 1", "too many dots"),
        ("a = " + "[" * 7000, "too deeply"),
        ("a = " + "{a=" * 2000, "too deeply"),
        ("a = " + "1" * 7000, "not valid TOML"),
        ("\n".join(f"k{i} = 1" for i in range(6000)), "more mistakes"),
        (
            BASE + "[mean]\nmu = '1'\n[constraints]\n" + "\n".join(f"g{i} = 'mu == 1'" for i in range(3000)),
            "at most 50",
        ),
        ("#" * 70_000, "longer than"),
    ],
)
def test_hostile_files_are_refused_at_once(text: str, part: str) -> None:
    with pytest.raises(ModelError) as caught, effort(5_000_000):
        Model.from_text(text)
    assert part in str(caught.value)
    assert len(str(caught.value)) < 10_000
