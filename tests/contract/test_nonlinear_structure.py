"""What the likelihood of a nonlinear model is made of: centres, rows, scales and predictors."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from scipy import special, stats
from tree_values import value

from saem.errors import ModelError
from saem.expressions.grammar import names_in, parse
from saem.expressions.graph import Graph
from saem.families.nonlinear.separated import separated
from saem.families.nonlinear.specification import NonlinearModel
from saem.families.nonlinear.structure import Structure, structure_of

COLUMNS = ("W", "A", "S")
RNG = np.random.default_rng(5)
AT = {"W": RNG.uniform(0.5, 2, 8), "A": RNG.uniform(1, 3, 8), "S": np.arange(8) % 2.0}
AT |= {name: RNG.uniform(0.2, 1.5) for name in ("p", "q", "beta", "gamma")}


def sum_of(terms: tuple[tuple[ast.expr, ast.expr], ...]) -> np.ndarray:
    return sum((value(a, AT) * value(b, AT) for a, b in terms), np.zeros(8))


@pytest.mark.parametrize(
    ("text", "n_terms"),
    [
        ("log(p * (W / 70)**beta)", 2),
        ("log(p * (W / 70)**beta * (A / 40)**gamma)", 3),
        ("log(p * q)", 1),
        ("log(p * exp(beta * (S == 1)))", 2),
        ("log(p / W)", 2),
        ("log(sqrt(p * W))", 2),
        ("log2(p * W)", 2),
        ("log10(p) + beta * W", 2),
        ("p + q * (W - 70) / 10", 2),
        ("(p + q) * W + p * W", 1),
        ("(p + q * W)**2", 3),
        ("(p + q * W) * (1 + beta * A)", 4),
        ("-(p - q * W)", 2),
        ("p * W / (q * A)", 1),
        ("where(S == 1, p, q * W)", 2),
        ("log(where(S == 1, p, q) * W**beta)", 4),
        ("logit(expit(p + q * W))", 2),
        ("probit(normal_cdf(p + q * W))", 2),
        ("W", 1),
        ("p", 1),
        ("0", 0),
        ("p - p + W * 0", 2),
    ],
)
def test_centres_that_are_sums_of_products(text, n_terms):
    tree = ast.parse(text, mode="eval").body
    terms = separated(tree, COLUMNS)
    assert terms is not None
    for a, b in terms:
        assert not set(names_in(a)) & set(COLUMNS) and set(names_in(b)) <= set(COLUMNS)
    np.testing.assert_allclose(sum_of(terms), value(tree, AT) + np.zeros(8), rtol=1e-13, atol=1e-14)
    assert len(terms) <= n_terms


@pytest.mark.parametrize(
    "text", ["p * W / (q + W)", "log(p + q * W)", "exp(p * W)", "W**beta", "where(p > 1, W, A)", "p**W", "(p + W)**0.5"]
)
def test_centres_that_are_not(text):
    assert separated(parse(text, large=True).body, COLUMNS) is None


def test_where_protects_the_part_of_columns_that_is_not_taken():
    tree = ast.parse("log(where(W > 0, W**beta * p, q))", mode="eval").body
    terms = separated(tree, COLUMNS)
    at = AT | {"W": np.array([0.0, 2.0])}
    found = sum(value(a, at) * value(b, at) for a, b in terms)
    np.testing.assert_allclose(found, [np.log(at["q"]), at["beta"] * np.log(2.0) + np.log(at["p"])])


def structure(individual: str = "", constant: tuple[str, ...] = (), more: str = "", **outcome: object) -> Structure:
    says = {"distribution": "normal", "mean": "V", "sd": "s", **outcome}
    lines = "\n".join(f"{key} = {text!r}" for key, text in says.items())
    text = 'family = "nonlinear"\nresponse = "y"\ncluster = "id"\ncolumns = ["W", "A", "kind"]\n[individual]\n'
    model = NonlinearModel.from_text(f"{text}{individual}\n[outcome]\n{lines}\n{more}")
    return structure_of(model, model.random.levels, frozenset(constant))


def test_a_centre_of_columns_that_vary_stands_in_the_row():
    law = 'V = "lognormal(v * W**b, o)"'
    centred, not_centred = structure(law, ("W",)), structure(law)
    assert len(centred.effects[0].centre) == 2 and not_centred.effects[0].centre == ()
    at = {"v": 2.0, "b": 0.7, "W": np.array([1.5, 3.0]), "s": 0.4, "y": np.array([1.0, 2.0])}
    eta = np.array([0.3, -0.2])
    median = 2.0 * at["W"] ** 0.7
    expected = stats.norm(median * np.exp(eta), 0.4).logpdf(at["y"])
    np.testing.assert_allclose(value(not_centred.log_density, at | {"z.V": eta}), expected)
    np.testing.assert_allclose(value(centred.log_density, at | {"z.V": np.log(median) + eta}), expected)


@pytest.mark.parametrize(
    ("law", "forward"),
    [
        ("normal(v, o)", lambda v, eta: v + eta),
        ("lognormal(v, o)", lambda v, eta: v * np.exp(eta)),
        ("logitnormal(v, o)", lambda v, eta: special.expit(special.logit(v) + eta)),
        ("logitnormal(v, o, -1, 3)", lambda v, eta: -1 + 4 * special.expit(special.logit((v + 1) / 4) + eta)),
        ("probitnormal(v, o)", lambda v, eta: special.ndtr(special.ndtri(v) + eta)),
        ("probitnormal(v, o, -1, 3)", lambda v, eta: -1 + 4 * special.ndtr(special.ndtri((v + 1) / 4) + eta)),
    ],
)
def test_laws(law, forward):
    """Centred, and not centred because a column of the centre varies within clusters."""
    eta, at = np.array([0.5, -1.0]), {"v": 0.3, "y": np.array([0.1, 0.2]), "s": 0.4, "W": 0.0}
    centred = structure(f'V = "{law}"')
    varying = structure(f'V = "{law.replace("(v,", "(v + 0 * W,")}"', ("A",))
    assert centred.effects[0].centre and not varying.effects[0].centre
    (a, b) = centred.effects[0].centre[0]
    z = value(a, at) * value(b, at) + eta
    expected = stats.norm(forward(0.3, eta), 0.4).logpdf(at["y"])
    np.testing.assert_allclose(value(centred.log_density, at | {"z.V": z}), expected)
    np.testing.assert_allclose(value(varying.log_density, at | {"z.V": eta}), expected)


def test_a_centre_of_zero_is_none():
    found = structure('b = "normal(0, o)"\nV = "v + b"')
    assert found.effects[0].centre == () and found.parameters.names == ("v", "s", "o")


def test_derived_parameters_and_arguments_in_any_order():
    found = structure('V = "k * U"\nU = "lognormal(u, o)"\nk = "kk + 1"', sd="s * mean")
    at = {"kk": 1.5, "s": 0.3, "z.U": 0.4, "y": 3.0}
    mean = 2.5 * np.exp(0.4)
    np.testing.assert_allclose(value(found.log_density, at), stats.norm(mean, 0.3 * mean).logpdf(3.0))


def check_scales(found: Structure, at: dict[str, object], other: dict[str, float]) -> None:
    """The log-density less that of other scales is what the statistics say."""
    names = [scale.parameter for scale in found.scales]
    assert names

    def said(x: dict[str, float]) -> np.ndarray:
        parts = [
            -np.log(x[scale.parameter]) * value(scale.indicator, at)
            - value(scale.square, at) / (2 * x[scale.parameter] ** 2)
            for scale in found.scales
        ]
        return np.sum(np.broadcast_arrays(*parts), axis=0)

    one = {name: at[name] for name in names}
    difference = value(found.log_density, at) - value(found.log_density, at | other)
    np.testing.assert_allclose(said(one) - said(other), difference, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("outcome", "names"),
    [
        ({}, ["s"]),
        ({"sd": "s * mean"}, ["s"]),
        ({"sd": "s * W / 2"}, ["s"]),
        ({"distribution": "lognormal", "median": "exp(V)", "mean": None}, ["s"]),
        ({"sd": "where(kind == 'PK', s, r * mean)", "mean": "where(kind == 'PK', V, 2 * V)"}, ["s", "r"]),
        ({"sd": "where(kind == 'PK', s, 0.3)"}, ["s"]),
        ({"sd": "where(kind == 'PK', s, s * W)"}, ["s", "s"]),
    ],
)
def test_residual_scales_that_factor_out(outcome, names):
    given = {key: text for key, text in {"mean": "V", **outcome}.items() if text is not None}
    says = given if "median" not in given else {"distribution": "lognormal", "median": "exp(V)"}
    if "median" in says:
        text = ('family = "nonlinear"\nresponse = "y"\ncluster = "id"\n[individual]\nV = "normal(v, o)"\n[outcome]\n'
                'distribution = "lognormal"\nmedian = "exp(V)"\nsd = "s"\n')  # fmt: skip
        found = structure_of(NonlinearModel.from_text(text), ("",), frozenset())
    else:
        found = structure('V = "normal(v, o)"', **says)
    assert [scale.parameter for scale in found.scales] == names
    at = {"y": RNG.uniform(0.5, 2, 4), "z.V": RNG.uniform(0.5, 1, 4), "W": RNG.uniform(1, 2, 4), "s": 0.7, "r": 0.4}
    at["kind"] = np.array(["PK", "PD"] * 2)
    check_scales(found, at, {"s": 0.5, "r": 0.9})


@pytest.mark.parametrize(
    "outcome",
    [
        {"sd": "s + r * mean"},
        {"sd": "sqrt(s**2 + (r * mean)**2)"},
        {"sd": "s * mean**c"},
        {"mean": "V * k"},
        {"mean": "V + W * k"},
        {"sd": "2"},
        {"lower": 0.1},
        {"interval": ["A", "W"]},
        {"sd": "where(kind == 'PK', s, exp(r))"},
    ],
)
def test_residual_scales_that_do_not(outcome):
    assert structure('V = "normal(v, o)"', **outcome).scales == ()


def test_variance_groups():
    found = structure(
        'V = "normal(v, o)"\nU = "normal(u, q)"',
        mean="V + U",
        more='[random]\ncorrelated = [["V", "U"]]\nby = "sex"\nsd.o = { F = "o_F", M = "o_M" }\n',
    )
    names = np.array(found.parameters.names)
    assert names[found.sd_index].tolist() == [["o_F", "q"], ["o_M", "q"]]
    assert names[found.corr_index[:, 0, 1]].tolist() == ["corr_V_U_F", "corr_V_U_M"]
    assert found.corr_index[0].tolist() == found.corr_index[0].T.tolist() and found.corr_index[0, 0, 0] == -1


def test_a_block_leaves_others_uncorrelated():
    found = structure('V = "normal(v, o)"\nU = "normal(u, q)"\nT = "normal(t, r)"', mean="V + U + T",
                      more='[random]\ncorrelated = [["T", "V"]]\n')  # fmt: skip
    assert found.parameters.names[found.corr_index[0, 0, 2]] == "corr_T_V"
    assert (found.corr_index[0] >= 0).sum() == 2


def chain(length: int, text: str) -> NonlinearModel:
    """Derived parameters each of which is made of the one before."""
    lines = "\n".join(f'p{k} = "{text.format(before=f"p{k - 1}")}"' for k in range(1, length + 1))
    return NonlinearModel.from_text(
        f'family = "nonlinear"\nresponse = "y"\ncluster = "id"\n[individual]\np0 = "normal(m, o)"\n{lines}\n'
        f'[outcome]\ndistribution = "normal"\nmean = "p{length}"\nsd = "s * p{length}"\n'
    )


@pytest.mark.parametrize("text", ["{before} * {before}", "sin(" * 20 + "{before}" + ")" * 20])
def test_expressions_that_grow_without_end_are_refused_at_once(text):
    model = chain(45, text)
    with pytest.raises(ModelError, match="with all that its names stand for it has more than 50000 terms, or is more"):
        structure_of(model, ("",), frozenset())


def test_expressions_may_be_as_deep_as_is_said():
    """All that walks through trees can do so."""
    text = "sin(" * 14 + "{before}" + ")" * 14
    found = structure_of(chain(10, text), ("",), frozenset())
    graph = Graph(20_000)
    node = graph.translate(found.log_density, {"y": 0, "s": 1, "z.p0": 2})
    assert graph.inputs(graph.derivative(node, 2)) == {0, 1, 2}
    assert "sin" in ast.unparse(found.log_density) and ast.dump(found.log_density)


def test_a_link_in_an_individual_parameter_keeps_its_digits():
    """p = expit(z): the density is that of the logit, which is exact where expit rounds to 0."""
    text = ('family = "nonlinear"\nresponse = "y"\ncluster = "id"\n[individual]\nP = "logitnormal(p, o)"\n[outcome]\n'
            'distribution = "bernoulli"\nprobability = "P"\n')  # fmt: skip
    found = structure_of(NonlinearModel.from_text(text), ("",), frozenset())
    assert value(found.log_density, {"y": 1.0, "z.P": -800.0}) == -800.0
    assert set(found.arguments) == {"probability", "logit"} and list(found.information) == [("logit", "logit")]


def test_a_rate_with_an_exponential_factor_keeps_its_digits():
    text = ('family = "nonlinear"\nresponse = "y"\ncluster = "id"\ncolumns = ["W"]\n[outcome]\n'
            'distribution = "poisson"\nrate = "W * exp(e)"\n')  # fmt: skip
    found = structure_of(NonlinearModel.from_text(text), ("",), frozenset())
    assert value(found.log_density, {"y": 1.0, "W": 2.0, "e": -800.0}) == pytest.approx(np.log(2.0) - 800.0)
