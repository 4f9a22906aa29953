"""Compiled constraints: exact derivatives, a C function, kept on disk, and refusals."""

from __future__ import annotations

import ctypes
import itertools
import math
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
import sympy
from effort import effort
from symbolic import to_sympy

from saem import recipes
from saem.errors import ConstraintError, ExpressionError, ModelError
from saem.expressions.assembly import literal
from saem.expressions.constraint import MAX_CONSTRAINTS, compile_constraints, parameters_of, split
from saem.expressions.derivatives import Function, source_of
from saem.families import Model

PARAMETERS = ("mu", "c2", "alpha2", "b21", "b22", "sigma1", "sigma2", "sigma")
POINT = np.array([10.0, 1.3, -1.0, 0.5, 1.2, 0.4, 0.7, 0.3])
POSTED = "c2 == exp(log(2)**2/2 * (sigma2**2 - sigma1**2)) * (1 + 2**b22) / (1 + 2**b21)"

TEXTS = {
    "posted": POSTED,
    "log2": "c2 == log2((1 + 2**b22) / (1 + 2**b21)) + log10(mu) * pi",
    "linear": "mu - 2*c2 == 3*(alpha2 + 0.1)",
    "power": "mu**2.5 - c2**-3 + b22**3 == sigma**b21",
    "ratio": "-(b22 - b21)**4 / (sigma1 + sigma2)**5 == 1/mu",
    "circular": "sin(mu) * cos(c2) == tan(b21) - tanh(sigma)**3",
    "logistic": "expit(b21 * c2) == logit(sigma1 * sigma2) + expit(-mu)",
    "root": "sigma == sqrt(sigma1**2 / 3 + sigma2**2 / 5)",
    "nested": "c2 == exp(sin(log(1 + exp(b21 * sigma**2))))",
    "product": "mu * c2 == alpha2 * b21 * b22 * sigma1 * sigma2 * sigma",
    "shared": "(b21 + b22)**2 == log(b21 + b22) * (b21 + b22)",
    "special": "lgamma(mu) * normal_cdf(b21 * c2) == log_normal_cdf(-mu / b22) + sigma * log_expit(alpha2)",
    "inverse": "probit(expit(b21 * c2)) * mu == sigma**2",
}

_EXACT = {
    "log2": lambda x: mpmath.log(x) / mpmath.log(2),
    "log10": lambda x: mpmath.log(x) / mpmath.log(10),
    "expit": lambda x: 1 / (1 + mpmath.exp(-x)),
    "logit": lambda x: mpmath.log(x / (1 - x)),
    "log_expit": lambda x: -mpmath.log1p(mpmath.exp(-x)),
    "probit": lambda p: mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1),
    "lgamma": mpmath.loggamma,
    "normal_cdf": mpmath.ncdf,
    "log_normal_cdf": lambda x: mpmath.log(mpmath.ncdf(x)),
    "pi": mpmath.pi,
    "number": mpmath.mpf,
    **{name: getattr(mpmath, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tan", "tanh")},
}


def in_high_precision(text: str):  # type: ignore[no-untyped-def]
    """``left - right`` as a function of mpmath numbers, by Python's own evaluation of the text."""
    left, right = text.split("==")
    code = re.sub(r"(?<![\w.])(\d+\.?\d*)", r"number('\1')", f"({left}) - ({right})")
    return lambda *x: eval(code, {**_EXACT, **dict(zip(PARAMETERS, x, strict=True))})


def evaluated(name: str) -> tuple[float, np.ndarray, np.ndarray]:
    """One of TEXTS at POINT; all are compiled together, once."""
    values = compile_constraints(TEXTS, PARAMETERS).evaluate(POINT)
    c, jacobian, hessian = (array[list(TEXTS).index(name)] for array in values)
    return float(c), jacobian, hessian


@pytest.mark.parametrize("name", TEXTS)
def test_value_and_derivatives_agree_with_finite_differences_in_high_precision(name: str) -> None:
    c, jacobian, hessian = evaluated(name)
    n = len(PARAMETERS)
    with mpmath.workdps(60):
        function = in_high_precision(TEXTS[name])
        point = [mpmath.mpf(float(x)) for x in POINT]
        step = mpmath.mpf(10) ** -15
        moved = {}
        for j, k in itertools.combinations_with_replacement(range(n), 2):
            for a, b in itertools.product((-1, 1), repeat=2):
                x = list(point)
                x[j] += a * step
                x[k] += b * step
                moved[j, k, a, b] = function(*x)
        assert c == pytest.approx(float(function(*point)), rel=1e-12, abs=1e-14)
        for j, k in itertools.combinations_with_replacement(range(n), 2):
            second = moved[j, k, 1, 1] - moved[j, k, 1, -1] - moved[j, k, -1, 1] + moved[j, k, -1, -1]
            expected = float(second / (4 * step**2))
            assert hessian[j, k] == hessian[k, j] == pytest.approx(expected, rel=1e-12, abs=1e-13)
        for j in range(n):
            expected = float((moved[j, j, 1, 1] - moved[j, j, -1, -1]) / (4 * step))
            assert jacobian[j] == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("name", TEXTS)
def test_derivatives_agree_with_sympy(name: str) -> None:
    _, jacobian, hessian = evaluated(name)
    left, right = (to_sympy(side, PARAMETERS) for side in TEXTS[name].split("=="))
    at = {sympy.Symbol(p, real=True): x for p, x in zip(PARAMETERS, POINT.tolist(), strict=True)}
    for j, a in enumerate(at):
        first = sympy.diff(left - right, a)
        assert jacobian[j] == pytest.approx(float(first.evalf(25, subs=at)), rel=1e-12, abs=1e-13)
        for k, b in enumerate(at):
            second = float(sympy.diff(first, b).evalf(25, subs=at))
            assert hessian[j, k] == pytest.approx(second, rel=1e-12, abs=1e-12)


def test_the_mean_of_a_logit_normal_has_its_derivatives() -> None:
    """Those of the second order by differences of those of the first, these by differences of values."""
    constraint = compile_constraints({"g": "c2 == logitnormal_mean(b21, sigma1)"}, PARAMETERS)
    _, jacobian, hessian = constraint.evaluate(POINT)
    for j in (PARAMETERS.index("b21"), PARAMETERS.index("sigma1")):
        step = np.zeros(len(PARAMETERS))
        step[j] = 1e-5
        (up, up_slope, _), (down, down_slope, _) = constraint.evaluate(POINT + step), constraint.evaluate(POINT - step)
        assert jacobian[0, j] == pytest.approx((up - down)[0] / 2e-5, abs=1e-9)
        np.testing.assert_allclose(hessian[0, j], (up_slope - down_slope)[0] / 2e-5, atol=1e-8)


def test_several_constraints_fill_their_own_rows() -> None:
    both = compile_constraints({"a": POSTED, "b": "mu == sigma**2"}, PARAMETERS).evaluate(POINT)
    for row, text in enumerate([POSTED, "mu == sigma**2"]):
        for together, alone in zip(both, compile_constraints({"x": text}, PARAMETERS).evaluate(POINT), strict=True):
            np.testing.assert_array_equal(together[row], alone[0])


def test_the_c_function_writes_only_what_is_not_always_zero() -> None:
    constraints = compile_constraints({"a": "mu == sigma**2", "b": "c2 == b21*b22"}, PARAMETERS)
    n = len(PARAMETERS)
    arrays = [POINT.copy(), np.full(2, np.nan), np.full((2, n), np.nan), np.full((2, n, n), np.nan)]
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(constraints.address)
    function(*(array.ctypes.data for array in arrays))
    _, c, jacobian, hessian = arrays
    assert np.isfinite(c).all()
    assert {tuple(cell) for cell in np.argwhere(np.isfinite(jacobian)).tolist()} == {
        (0, 0),
        (0, 7),
        (1, 1),
        (1, 3),
        (1, 4),
    }
    assert {tuple(cell) for cell in np.argwhere(np.isfinite(hessian)).tolist()} == {(0, 7, 7), (1, 3, 4), (1, 4, 3)}
    zeroed = constraints.evaluate(POINT)
    assert (zeroed[1] == np.nan_to_num(jacobian)).all()
    assert (zeroed[2] == np.nan_to_num(hessian)).all()


def test_outside_its_domain_a_constraint_is_not_finite_and_raises_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    texts = {"log": "mu == log(c2)", "root": "mu == sqrt(c2)", "power": "mu == c2**0.3", "ratio": "mu == 1/b21"}
    texts["huge"] = "mu == exp(b22)"
    values = compile_constraints(texts, PARAMETERS).evaluate([0, -1, 0, 0, 1e4, 0, 0, 0])[0]
    assert np.isnan(values[:3]).all()
    assert np.isinf(values[3:]).all()
    assert capfd.readouterr().err == ""


def test_no_constraint_is_a_function_that_does_nothing() -> None:
    none = compile_constraints({}, PARAMETERS)
    c, jacobian, hessian = none.evaluate(POINT)
    assert (none.n, c.shape, jacobian.shape, hessian.shape) == (0, (0,), (0, 8), (0, 8, 8))
    assert none.address != 0


def test_the_same_constraints_are_compiled_once_in_a_process() -> None:
    assert compile_constraints({"posted": POSTED}, list(PARAMETERS)) is compile_constraints(
        {"posted": POSTED}, PARAMETERS
    )
    assert compile_constraints({"posted": POSTED}, PARAMETERS[::-1]) is not compile_constraints(
        {"posted": POSTED}, PARAMETERS
    )


def test_pickling_compiles_again() -> None:
    constraints = compile_constraints({"posted": POSTED}, PARAMETERS)
    assert pickle.loads(pickle.dumps(constraints)) is constraints


def test_evaluate_wants_all_parameters() -> None:
    with pytest.raises(ModelError, match=r"8 parameters.*\(3,\)"):
        compile_constraints({"posted": POSTED}, PARAMETERS).evaluate([1.0, 2.0, 3.0])


_SECOND_PROCESS = f"""
import sys
from saem.expressions.constraint import compile_constraints
from saem.system import machine
kept = machine._kept
machine._kept = lambda digest: print(kept(digest) is not None, end=" ") or kept(digest)
constraints = compile_constraints({{"posted": {POSTED!r}}}, {PARAMETERS!r})
print("sympy" in sys.modules, constraints.evaluate({POINT.tolist()})[0][0])
"""


def test_a_second_process_neither_compiles_nor_imports_sympy(tmp_path: Path) -> None:
    environment = {**os.environ, "SAEM_CACHE_DIR": str(tmp_path)}
    environment.pop("NUMBA_CACHE_DIR", None)
    outputs = []
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-c", _SECOND_PROCESS], env=environment, capture_output=True, text=True, check=True
        )
        outputs.append(run.stdout.split())
    (first_hits, first_sympy, first), (second_hits, second_sympy, second) = outputs
    assert (first_hits, second_hits) == ("False", "True")
    assert first_sympy == second_sympy == "False"
    assert first == second


def test_generated_source_does_not_depend_on_hash_seeds() -> None:
    code = (
        "from saem.expressions.constraint import split; from saem.expressions.derivatives import Function, source_of;"
        f"print(source_of([Function('g', *split('g', {POSTED!r}))], {PARAMETERS!r}))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert literal(math.log(2) ** 2 / 2).encode() in outputs.pop()  # folded


# What is refused.


@pytest.mark.parametrize(
    ("texts", "parts"),
    [
        ({"g": "c2 == exp(sigma3)"}, ["constraint 'g'", "'sigma3'", "did you mean 'sigma", "no parameter"]),
        ({"g": "c2 == exp(sigma1"}, ["constraint 'g'", "cannot read", "1 opening and 0 closing"]),
        ({"g": "c2 = 1"}, ["constraint 'g'", "write == for 'equal'"]),
        ({"g": "c2 + 1"}, ["constraint 'g' must be one equation", "found 0"]),
        ({"g": "c2 == b21 == b22"}, ["constraint 'g' must be one equation", "found 2"]),
        ({"g": "c2 < b21"}, ["constraint 'g' must be one equation"]),
        ({"g": "1 == 2"}, ["constraint 'g' involves no parameter", "1 == 2"]),
        ({"g": "c2 - c2 == 0"}, ["constraint 'g' involves no parameter", "cancel"]),
        ({"g": "c2 == (b21 == 1)"}, ["constraint 'g'", "got a condition"]),
        ({"g": "c2 == 'a'"}, ["constraint 'g'", "got the text 'a'"]),
        ({"g": "c2 == abs(b21)"}, ["constraint 'g'", "abs()", "derivative"]),
        ({"g": "c2 == where(b21 > 0, b21, 1)"}, ["constraint 'g'", "where()", "no derivative"]),
        ({"g": "c2 == max(b21, b22)"}, ["constraint 'g'", "max()", "no derivative"]),
        ({"g": "c2 == 1 + min(b21, b22)"}, ["constraint 'g'", "min()", "no derivative"]),
        ({"g": "c2 == logitnormal_mean(b21)"}, ["constraint 'g'", "logitnormal_mean(median, sd)", "got 1"]),
        ({"g": "c2 == __import__('os')"}, ["constraint 'g'", "no function '__import__'"]),
        ({"g": "c2 == 9**9**9**9"}, ["constraint 'g'", "exponent must lie between"]),
        ({"g": "c2 == (0 - 2)**b21"}, ["constraint 'g'", "no finite real number", "negative"]),
        ({"g": "c2 == 1", "h": "c2 == 2"}, ["'g', 'h' contradict each other"]),
        ({"g": "c2 == exp(b21)", "h": "2*c2 - 2*exp(b21) == 1"}, ["'g', 'h' contradict each other"]),
        ({"a": "mu == c2", "b": "c2 == b21", "c": "mu == b21 + 1"}, ["'a', 'b', 'c' contradict each other"]),
        ({"g": POSTED, "k": "mu == 1", "h": POSTED}, ["'g', 'h' say the same thing"]),
        ({f"g{i}": f"mu == {i}" for i in range(MAX_CONSTRAINTS + 1)}, [f"at most {MAX_CONSTRAINTS}", "got 51"]),
    ],
    ids=lambda value: next(iter(value.values()))[:20] if isinstance(value, dict) else "",
)
def test_bad_constraints(texts: dict[str, str], parts: list[str]) -> None:
    with pytest.raises(ConstraintError) as caught:
        compile_constraints(texts, PARAMETERS)
    for part in parts:
        assert part in str(caught.value)


def test_independent_constraints_are_accepted() -> None:
    texts = {"a": POSTED, "b": "b21 == 0.5 * b22", "c": "sigma1 == sigma2 * exp(mu - 10)", "d": "mu == 10"}
    assert compile_constraints(texts, PARAMETERS).n == 4


def _nested(template: str, times: int) -> str:
    text = "b21"
    for _ in range(times):
        text = template.format(text)
    return f"c2 == {text}"


@pytest.mark.parametrize(
    "text",
    [
        _nested("exp(sin({}))", 30),
        _nested("1/(c2 + {})", 45),
        _nested("({})**b22", 60),
        _nested("tan({})", 90),
        _nested("2**{}", 90),
        _nested("(({}) + 1)/(({}) + 2)".replace("{}", "{0}"), 5),
        "c2 == " + "*".join(f"(mu + {i} + b21)" for i in range(30)),
        "c2 == " + "**".join(["sigma"] * 60),
    ],
    ids=range(8),
)
def test_hostile_constraints_are_differentiated_or_refused_at_once(text: str) -> None:
    try:
        with effort(5_000_000):
            source = source_of([Function("constraint 'g'", *split("g", text))], PARAMETERS)
        assert source.count("\n") < 20_000
    except ExpressionError as error:
        assert "operations" in str(error) or "finite" in str(error)


def test_parameters_of_a_constraint_in_order_of_use() -> None:
    assert parameters_of("g", POSTED) == ("c2", "sigma2", "sigma1", "b22", "b21")


@pytest.mark.parametrize("name", ["peptide", "peptide_log2", "peptide_conservation"])
def test_constraints_of_the_recipes_compile(name: str) -> None:
    model = Model.from_text(recipes.text(name))
    values, _, _ = compile_constraints(model.constraints, model.parameter_names or ()).evaluate(POINT)
    assert np.isfinite(values).all()
