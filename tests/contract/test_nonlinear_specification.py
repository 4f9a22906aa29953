"""Nonlinear models as files: what they say, which parameters they have, and what is wrong with them."""

from __future__ import annotations

import re

import pytest
from documented import ROOT

from saem.errors import ModelError
from saem.families.nonlinear.distributions import DISTRIBUTIONS
from saem.families.nonlinear.laws import LAWS
from saem.families.nonlinear.specification import NonlinearModel

HEAD = 'family = "nonlinear"\nresponse = "y"\ncluster = "id"\n'
THEOPHYLLINE = """
family   = "nonlinear"
response = "Concentration"
cluster  = ["Id"]
columns  = ["Dose", "Time", "Weight"]

[individual]
ka = "lognormal(ka_pop, omega_ka)"
V  = "lognormal(V_pop, omega_V)"
CL = "lognormal(CL_pop * (Weight / 70)**beta, omega_CL)"

[random]
correlated = [["V", "CL"]]

[outcome]
distribution = "normal"
mean = "Dose * ka / (V * ka - CL) * (exp(-CL / V * Time) - exp(-ka * Time))"
sd   = "a"

[constraints]
known_mean = "log(CL_pop) + omega_CL**2 / 2 == 1.02"

[start]
ka_pop = 1.0
"""
NORMAL = '[outcome]\ndistribution = "normal"\nmean = "{mean}"\nsd = "{sd}"\n'


def model(text: str) -> NonlinearModel:
    return NonlinearModel.from_text(HEAD + text)


def normal(mean: str = "V", sd: str = "s", rest: str = '[individual]\nV = "normal(v, o)"\n') -> NonlinearModel:
    return model(rest + NORMAL.format(mean=mean, sd=sd))


def domains(found: NonlinearModel) -> dict[str, str]:
    parameters = found.known_parameters()
    assert parameters is not None
    return {name: domain.name for name, domain in zip(parameters.names, parameters.domains, strict=True)}


def test_parameters_are_found_in_their_order_with_their_domains():
    assert list(domains(NonlinearModel.from_text(THEOPHYLLINE)).items()) == [
        ("ka_pop", "positive"),
        ("V_pop", "positive"),
        ("CL_pop", "positive"),
        ("beta", "real"),
        ("a", "scale"),
        ("omega_ka", "sd"),
        ("omega_V", "sd"),
        ("omega_CL", "sd"),
        ("corr_V_CL", "corr"),
    ]


def test_a_model_survives_its_own_file():
    found = NonlinearModel.from_text(THEOPHYLLINE)
    again = NonlinearModel.from_text(found.to_toml())
    assert again == found and again.digest == found.digest
    assert found.replace(fixed={"beta": 0.75}).known_parameters().fixed.sum() == 1


def test_columns_that_are_read():
    found = NonlinearModel.from_text(THEOPHYLLINE)
    assert found.all_columns == ("Concentration", "Id", "Weight", "Dose", "Time")
    assert found.term_names == ("ka", "V", "CL")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (
            'distribution = "normal"\nmean = "m"\nsd = "sqrt(a**2 + (b * mean)**2)"',
            {"m": "real", "a": "scale", "b": "scale"},
        ),
        ('distribution = "normal"\nmean = "m"\nsd = "a + b * mean"', {"m": "real", "a": "scale", "b": "scale"}),
        ('distribution = "normal"\nmean = "m"\nsd = "b * mean**c"', {"m": "real", "b": "scale", "c": "real"}),
        ('distribution = "normal"\nmean = "m"\nsd = "exp(ls)"', {"m": "real", "ls": "real"}),
        ('distribution = "lognormal"\nmedian = "m * k"\nsd = "s"', {"m": "positive", "k": "positive", "s": "scale"}),
        ('distribution = "lognormal"\nmedian = "m + k"\nsd = "s"', {"m": "real", "k": "real", "s": "scale"}),
        ('distribution = "bernoulli"\nprobability = "p"', {"p": "interval(0.0, 1.0)"}),
        ('distribution = "bernoulli"\nprobability = "expit(p)"', {"p": "real"}),
        ('distribution = "poisson"\nrate = "r"', {"r": "positive"}),
        ('distribution = "poisson"\nrate = "exp(r)"', {"r": "real"}),
        ('distribution = "weibull"\nscale = "s"\nshape = "k"', {"s": "positive", "k": "positive"}),
        ('distribution = "student"\nmean = "m"\nsd = "s"\ndf = "nu"', {"m": "real", "s": "scale", "nu": "positive"}),
        ('distribution = "student"\nmean = "m"\nsd = "s"\ndf = 4', {"m": "real", "s": "scale"}),
        ('distribution = "ordinal"\npredictor = "e"\ncuts = ["c1", "c2"]', {"e": "real", "c1": "real", "c2": "real"}),
        ('log_density = "-abs(y - m) - log(2)"', {"m": "real"}),
    ],
)  # fmt: skip
def test_domains_follow_from_places(outcome, expected):
    assert domains(model(f"[outcome]\n{outcome}\n")) == expected


def test_domains_of_laws():
    found = domains(
        normal(
            "V + W + U + P",
            rest="[individual]\n"
            'V = "normal(v, o)"\nW = "lognormal(w * (1 + x), o)"\n'
            'U = "logitnormal(u, o, -1, 2)"\nP = "probitnormal(p, o)"\n',
        )
    )
    assert found == {"v": "real", "w": "positive", "x": "real", "u": "interval(-1.0, 2.0)", "p": "interval(0.0, 1.0)",
                     "s": "scale", "o": "sd"}  # fmt: skip


def test_a_domain_that_is_said_stands():
    found = domains(
        normal(rest='[individual]\nV = "normal(v, o)"\n[parameters]\nv = "interval(1, 5)"\ns = "positive"\n')
    )
    assert found == {"v": "interval(1.0, 5.0)", "s": "positive", "o": "sd"}


def test_a_spread_may_stand_in_a_centre():
    found = domains(normal(rest='[individual]\nV = "lognormal(exp(mu - o**2 / 2), o)"\n'))
    assert found == {"mu": "real", "s": "scale", "o": "sd"}


def test_variance_groups_and_their_correlations():
    text = (
        '[individual]\nV = "normal(v, o)"\nW = "normal(w, q)"\nU = "normal(u, r)"\nT = "normal(t, r)"\n'
        '[random]\ncorrelated = [["V", "W"], ["U", "T"]]\nby = "sex"\nsd.o = { F = "o_F", M = "o_M" }\n'
    )
    found = domains(normal("V + W + U + T", rest=text))
    assert list(found) == ["v", "w", "u", "t", "s", "o_F", "q", "r", "o_M", "corr_V_W_F", "corr_U_T", "corr_V_W_M"]


#: A model, and what must be said of it.
MISTAKES = {
    "a column in other letters": (
        'columns = ["Time"]\n' + NORMAL.format(mean="m * exp(-k * time)", sd="s"),
        r"'time' is taken for a parameter, and looks like the column 'Time'.*\[parameters\] time = 'real'",
    ),
    "a column misspelt": (
        'columns = ["Weight"]\n' + NORMAL.format(mean="m * Wieght", sd="s"),
        "'Wieght' is taken for a parameter, and looks like the column 'Weight'",
    ),
    "a law that nothing uses": (
        '[individual]\nVol = "normal(v, o)"\n' + NORMAL.format(mean="Vo", sd="s"),
        r"individual.Vol: the outcome never uses it, so the law of 'Vol' says nothing \(did you mean 'Vo'\?\)",
    ),
    "a law that only an unused one uses": (
        '[individual]\nV = "normal(v, o)"\nW = "2 * V"\n' + NORMAL.format(mean="m", sd="s"),
        "individual.V: the outcome never uses it.*individual.W: the outcome never uses it",
    ),
    "a law misspelt": (
        '[individual]\nV = "lognorml(v, o)"\n' + NORMAL.format(mean="V", sd="s"),
        r"there is no law 'lognorml' \(did you mean 'lognormal'\?\)",
    ),
    "an unknown function": (NORMAL.format(mean="expp(a)", sd="s"), r"outcome.mean: there is no function 'expp'.*'exp'"),
    "an SD that is a number": (
        '[individual]\nV = "normal(v, 2)"\n' + NORMAL.format(mean="V", sd="s"),
        r"the SD of normal must be the name of a parameter; got '2' in 'normal\(v, 2\)'.*\[fixed\]",
    ),
    "an SD of zero": (
        '[individual]\nV = "lognormal(v, 0)"\n' + NORMAL.format(mean="V", sd="s"),
        "without a random effect leave the law out and write its median alone",
    ),
    "a law within an expression": (
        '[individual]\nV = "2 * normal(v, o)"\n' + NORMAL.format(mean="V", sd="s"),
        r"the law normal\(..\) must be the whole text",
    ),
    "bounds in the wrong order": (
        '[individual]\nV = "logitnormal(v, o, 2, 1)"\n' + NORMAL.format(mean="V", sd="s"),
        r"needs low < high; got 'logitnormal\(v, o, 2, 1\)'",
    ),
    "three arguments": (
        '[individual]\nV = "normal(v, o, 1)"\n' + NORMAL.format(mean="V", sd="s"),
        r"a law must be written normal\(centre, sd\)",
    ),
    "occasions": (
        '[individual]\nV = "normal(v, o, occasion_sd=g)"\n' + NORMAL.format(mean="V", sd="s"),
        "V has an occasion_sd",
    ),
    "a centre of an individual parameter": (
        '[individual]\nV = "normal(v, o)"\nW = "normal(2 * V, q)"\n' + NORMAL.format(mean="W", sd="s"),
        "individual.W: the centre of a law must not depend on the individual parameter 'V'",
    ),
    "a circle": (
        '[individual]\np = "q + 1"\nq = "2 * p"\n' + NORMAL.format(mean="p", sd="s"),
        "depend on each other in a circle",
    ),
    "the response explains itself": (
        NORMAL.format(mean="y / 2 + m", sd="s"),
        "outcome.mean must not use the response 'y'",
    ),
    "a text beside no column": (
        NORMAL.format(mean="where(kind == 'PK', a, b)", sd="s"),
        "'kind' is compared with the text 'PK', so it must be a column; add it to columns",
    ),
    "a column in backticks that is not listed": (
        NORMAL.format(mean="m + `my column`", sd="s"),
        "`my column` is a column, since it stands in backticks; add it to columns",
    ),
    "a distribution misspelt": (
        '[outcome]\ndistribution = "normla"',
        r"no distribution 'normla' \(did you mean 'normal'\?\)",
    ),
    "an argument is missing": (
        '[outcome]\ndistribution = "normal"\nmean = "m"',
        "normal needs sd; its keys are mean, sd",
    ),
    "an argument of another": (
        '[outcome]\ndistribution = "poisson"\nrate = "r"\nsd = "s"',
        "sd is no argument of poisson; its keys are rate",
    ),
    "a key misspelt": (
        '[outcome]\ndistribution = "poisson"\nrat = "r"',
        r"there is no key 'rat' \(did you mean 'rate'\?\)",
    ),
    "trials of none": (
        '[outcome]\ndistribution = "poisson"\nrate = "r"\ntrials = 2',
        "trials are for binomial outcomes; this one is poisson",
    ),
    "no trials": ('[outcome]\ndistribution = "binomial"\nprobability = "p"', "a binomial outcome needs trials"),
    "an event of no time": (
        NORMAL.format(mean="m", sd="s") + 'event = "status"',
        r"event is for times to an event \(lognormal, exponential, weibull, gompertz\); this outcome is normal",
    ),
    "censoring of counts": (
        '[outcome]\ndistribution = "poisson"\nrate = "r"\nlower = 2',
        "censoring is for normal and lognormal outcomes; this one is poisson",
    ),
    "censoring said twice": (
        '[outcome]\ndistribution = "lognormal"\nmedian = "m"\nsd = "s"\nlower = 2\nevent = "status"',
        "event and 'lower' both say what is censored",
    ),
    "an interval and a limit": (
        NORMAL.format(mean="m", sd="s") + 'interval = ["a", "b"]\nlower = 2',
        "interval says between what the response lies; remove lower and upper",
    ),
    "a density with more": (
        '[outcome]\nlog_density = "-y * m"\nsd = "s"',
        r"log_density says all of the outcome .*; remove 'sd'",
    ),
    "a density without the response": ('[outcome]\nlog_density = "-m"', "never uses the response 'y'"),
    "no distribution": ('[outcome]\nmean = "m"', r"the key 'distribution' is missing \(or log_density\)"),
    "a block of no laws": (
        '[individual]\nV = "normal(v, o)"\n[random]\ncorrelated = [["V", "CL"]]\n' + NORMAL.format(mean="V", sd="s"),
        "random.correlated names 'CL', which is no individual parameter with a law; those are 'V'",
    ),
    "two blocks with one parameter": (
        '[random]\ncorrelated = [["V", "W"], ["V", "U"]]\n' + NORMAL.format(mean="V", sd="s"),
        "each individual parameter may be in one block, once; 'V' is there twice",
    ),
    "levels without a column": (
        '[individual]\nV = "normal(v, o)"\n[random]\nsd.o = { a = "x", b = "z" }\n' + NORMAL.format(mean="V", sd="s"),
        "nothing says of which column; add by = 'column'",
    ),
    "groups that are none": (
        '[individual]\nV = "normal(v, o)"\n[random]\nby = "sex"\n' + NORMAL.format(mean="V", sd="s"),
        "no SD differs between them",
    ),
    "other levels": (
        '[individual]\nV = "normal(v, o)"\nW = "normal(w, q)"\n[random]\nby = "sex"\nsd.o = { F = "a", M = "b" }\n'
        'sd.q = { F = "c", N = "d" }\n' + NORMAL.format(mean="V + W", sd="s"),
        "sd.q must name a parameter for each of two or more levels of 'sex'",
    ),
    "an SD of no law": (
        '[individual]\nV = "normal(v, omega)"\n[random]\nby = "sex"\nsd.omgea = { F = "a", M = "b" }\n'
        + NORMAL.format(mean="V", sd="s"),
        r"random.sd names 'omgea' \(did you mean 'omega'\?\), which is the SD of no law",
    ),
    "a start of no parameter": (
        NORMAL.format(mean="mu", sd="s") + "[start]\nmmu = 1",
        r"\[start\] names 'mmu' \(did you mean 'mu'\?\), which is no parameter",
    ),
    "a start that is impossible": (
        NORMAL.format(mean="mu", sd="s") + "[start]\ns = -1",
        r"\[start\] s: a residual standard deviation must start above 0; got -1",
    ),
    "a start beside a fixed value": (
        NORMAL.format(mean="mu", sd="s") + "[start]\nmu = 1\n[fixed]\nmu = 2",
        r"\[start\] mu = 1, but \[fixed\] holds it at 2",
    ),
    "a residual scale of zero": (
        NORMAL.format(mean="mu", sd="s") + "[fixed]\ns = 0",
        r"\[fixed\] s: a residual standard deviation must be larger than 0; got 0",
    ),
    "a domain that is none": (
        NORMAL.format(mean="mu", sd="s") + '[parameters]\nmu = "positiv"',
        r"mu: must be 'real', 'positive', 'sd' or 'interval\(low, high\)'; got 'positiv'",
    ),
    "a domain of a random effect": (
        '[individual]\nV = "normal(v, o)"\n[parameters]\no = "positive"\n' + NORMAL.format(mean="V", sd="s"),
        r"\[parameters\] o = 'positive': it is a standard deviation of random effects",
    ),
    "two things at once": (
        '[individual]\nV = "lognormal(p, o)"\nW = "logitnormal(p, o, -2, -1)"\n' + NORMAL.format(mean="V + W", sd="s"),
        "parameter 'p' stands where it is a positive number and where it is a number between -2 and -1",
    ),
    "a constraint on no parameter": (
        NORMAL.format(mean="mu", sd="s") + '[constraints]\nc = "muu == 2 * s"',
        r"constraint 'c' names 'muu' \(did you mean 'mu'\?\), which is no parameter",
    ),
    "a formula with a left side": (
        '[linear]\neta = "y ~ x"\n' + NORMAL.format(mean="eta", sd="s"),
        "linear.eta must have no left side",
    ),
    "a predictor that nothing uses": (
        '[linear]\neta = "~ x"\n' + NORMAL.format(mean="m", sd="s"),
        "linear.eta: nothing uses the predictor",
    ),
    "a name for two things": (
        'columns = ["V"]\n[individual]\nV = "normal(v, o)"\n' + NORMAL.format(mean="V", sd="s"),
        "'V' is the name of a column and of an individual parameter or predictor; rename one",
    ),
    "a column called as a key": (
        'columns = ["mean"]\n' + NORMAL.format(mean="m", sd="s * mean"),
        "'mean' is both a column and a key of",
    ),
    "a word of the language": (
        '[individual]\nexp = "normal(v, o)"\n' + NORMAL.format(mean="2", sd="s"),
        "must not be named like a word of the expression language; got 'exp'",
    ),
    "one cut": ('[outcome]\ndistribution = "ordinal"\npredictor = "e"\ncuts = "c"', "must be a list of one or more"),
    "a condition as a number": (NORMAL.format(mean="m > 2", sd="s"), "mean must be a number; got a condition"),
    "a correlation of nothing": (
        '[individual]\nV = "normal(v, o)"\nW = "normal(w, q)"\n[random]\ncorrelated = [["V", "W"]]\n'
        + NORMAL.format(mean="V + W", sd="s")
        + "[fixed]\no = 0",
        r"\[fixed\] o = 0 leaves its correlations without a meaning; take 'V' out",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(mistake):
    text, expected = MISTAKES[mistake]
    with pytest.raises(ModelError, match=f"(?s){expected}"):
        model(text)


def test_all_mistakes_are_listed_at_once():
    with pytest.raises(ModelError) as caught:
        normal("V + W", "foo(s)", rest='[individual]\nV = "normal(v, 2)"\nW = "lognormal(w)"\n')
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "individual.V",
        "individual.W",
        "outcome.sd",
    ]


def test_a_parameter_like_a_column_that_is_meant():
    found = model('columns = ["Time"]\n' + NORMAL.format(mean="m * exp(-time * Time)", sd="s")
                  + '[parameters]\ntime = "positive"\n')  # fmt: skip
    assert domains(found)["time"] == "positive"


def test_columns_in_backticks_may_be_called_as_words_of_the_language():
    found = model('columns = ["pi", "log"]\n' + NORMAL.format(mean="m + `pi` * `log` * pi", sd="s"))
    assert found.reading.used_columns == ("pi", "log")
    assert list(domains(found)) == ["m", "s"]


def test_without_data_the_parameters_of_a_formula_are_not_known():
    assert model('[linear]\neta = "~ x"\n' + NORMAL.format(mean="eta", sd="s")).known_parameters() is None


PAGE = (ROOT / "docs" / "nonlinear.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", re.findall(r"^```toml\n(.*?)^```", PAGE, flags=re.M | re.S))
def test_the_models_of_the_page_are_models(text):
    assert NonlinearModel.from_text(text).known_parameters() is not None


def test_the_page_has_every_law_and_distribution_with_its_keys():
    assert all(f"`{law}({centre}, sd)`" in PAGE for law, centre in LAWS.items())
    for name, about in DISTRIBUTIONS.items():
        keys = [*about.arguments, *(["trials"] if about.has_trials else []), *(["cuts"] if about.has_cuts else [])]
        assert f"| `{name}` | {', '.join(f'`{key}`' for key in keys)} |" in PAGE
