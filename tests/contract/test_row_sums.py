"""Sums over rows as machine code, beside mpmath and the same sums row by row; what is constant is computed once."""

from __future__ import annotations

import pickle
import re
from typing import Any

import mpmath
import numpy as np
import pytest
from rowwise import NAMES, TEXTS, VARIABLES, graph_of, mp_function, points, summed, sums_at

from saem.errors import CacheWarning, ExpressionError
from saem.expressions import row_sums
from saem.expressions.grammar import parse
from saem.expressions.graph import Graph
from saem.expressions.row_sums import compile_row_sums
from saem.system import cache, machine
from saem.system.jit import call_row_sums, entry

HESSIAN = [(j, k) for j in range(VARIABLES) for k in range(j + 1)]


def by_mpmath(text: str, x: Any, z: Any, columns: Any) -> np.ndarray:
    """The sums of a text and its derivatives, by central differences with 60 digits."""
    function, step = mp_function(text), mpmath.mpf(10) ** -15
    with mpmath.workdps(60):
        result = [mpmath.mpf(0)] * (1 + VARIABLES + len(HESSIAN))
        for row in columns:
            at = [mpmath.mpf(float(value)) for value in (*x, *z, *row)]

            def moved(*moves: tuple[int, int], at: list[Any] = at) -> Any:
                there = list(at)
                for j, sign in moves:
                    there[j] += sign * step
                return function(*there)

            terms = [moved()]
            terms += [(moved((j, 1)) - moved((j, -1))) / (2 * step) for j in range(VARIABLES)]
            signs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
            terms += [sum(s * t * moved((j, s), (k, t)) for s, t in signs) / (4 * step * step) for j, k in HESSIAN]
            result = [a + b for a, b in zip(result, terms, strict=True)]
    return np.array([float(value) for value in result])


@pytest.mark.parametrize("text", TEXTS)
def test_values_and_derivatives_agree_with_mpmath(text: str) -> None:
    sums, rng = summed(text), np.random.default_rng(1)
    for _ in range(3):
        at = points(rng)
        expected = by_mpmath(text, *at)
        np.testing.assert_allclose(sums_at(sums, *at), expected, rtol=1e-11, atol=1e-12 * abs(expected).max())


def test_the_mean_of_a_logit_normal() -> None:
    """Its value and its derivatives, by a Gauss-Legendre rule of 400 nodes and central differences."""
    sums = summed("logitnormal_mean(c, b)")
    nodes, weights = np.polynomial.legendre.leggauss(400)
    z, w = 10 * nodes, 10 * weights * np.exp(-0.5 * (10 * nodes) ** 2) / np.sqrt(2 * np.pi)

    def mean(c: float, b: float) -> float:
        return float(w @ (1 / (1 + np.exp(-np.log(c / (1 - c)) - b * z))))

    h = 1e-4
    for c, b in [(0.3, 0.7), (0.8, 3.0), (0.05, 1.5)]:
        out = sums_at(sums, [0.0, b], [c], [[0.0, 0.0]])
        assert out[0] == pytest.approx(mean(c, b), abs=1e-13)
        assert out[2] == pytest.approx((mean(c, b + h) - mean(c, b - h)) / (2 * h), abs=1e-7)
        assert out[3] == pytest.approx((mean(c + h, b) - mean(c - h, b)) / (2 * h), abs=1e-6)
        second = [(mean(c, b + h) - 2 * mean(c, b) + mean(c, b - h)) / h**2]
        second += [(mean(c + h, b + h) - mean(c + h, b - h) - mean(c - h, b + h) + mean(c - h, b - h)) / (4 * h**2)]
        second += [(mean(c + h, b) - 2 * mean(c, b) + mean(c - h, b)) / h**2]
        np.testing.assert_allclose(out[[6, 8, 9]], second, rtol=1e-5, atol=1e-6)


def test_what_is_not_taken_does_no_harm() -> None:
    """The logarithm of a negative number, 0/0 and an overflow, with all their derivatives."""
    sums = summed("where(a > 0, log(a) + (a / a)**b, where(a < -1, exp(-1000 * a) * c, a * c))")
    out = sums_at(sums, [-0.5, 1.0], [0.4], [[0.0, 0.0]])
    np.testing.assert_array_equal(out, [-0.2, 0.4, 0.0, -0.5, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0])


def test_the_smaller_of_a_number_and_nan_is_nan() -> None:
    for text in ("min(a, b)", "max(a, b)"):
        for x in ([np.nan, 1.0], [1.0, np.nan]):
            assert np.isnan(sums_at(summed(text, 0), x, [0.0], [[0.0, 0.0]])[0])


@pytest.mark.parametrize("a", [-800.0, -40.0, 40.0, 800.0])
def test_tails_are_exact(a: float) -> None:
    with mpmath.workdps(800):
        big = mpmath.mpf(a)
        expected = [
            [float(1 / (1 + mpmath.exp(-big))), float(mpmath.exp(-big) / (1 + mpmath.exp(-big)) ** 2)],
            [float(-mpmath.log1p(mpmath.exp(-big))), float(1 / (1 + mpmath.exp(big)))],
        ]
        if abs(a) < 100:
            cdf = mpmath.ncdf(big)
            expected.append([float(mpmath.log(cdf)), float(mpmath.npdf(big) / cdf)])
    for text, wanted in zip(("expit(a)", "log_expit(a)", "log_normal_cdf(a)"), expected, strict=False):
        out = sums_at(summed(text), [a, 0.0], [0.0], [[0.0, 0.0]])
        np.testing.assert_allclose(out[:2], wanted, rtol=1e-13, err_msg=text)
        assert np.isfinite(out).all()


def loop_of(text: str, constant: tuple[int, ...]) -> str:
    """What is done for each row."""
    return summed(text, 0, constant).source.split("loop:")[1]


def test_what_does_not_vary_within_a_cluster_is_computed_once() -> None:
    text = "exp(a * k) * m + log(b) / c"
    assert not re.search(r"llvm\.(exp|log)", loop_of(text, (0,)))
    assert re.search(r"llvm\.exp", loop_of(text, ()))
    x, z, columns = points(np.random.default_rng(2))
    each = [sums_at(summed(text), x, z, columns[i : i + 1]) for i in range(4)]
    np.testing.assert_allclose(sums_at(summed(text), x, z, columns), sum(each), rtol=1e-14)


def test_a_column_that_varies_must_not_be_called_constant() -> None:
    """Then only its first row would be read: so it is, which shows that what is constant is read once."""
    x, z, columns = points(np.random.default_rng(3))
    right, wrong = (sums_at(summed("exp(a * m)", 0, constant), x, z, columns) for constant in ((0,), (0, 1)))
    assert right[0] == pytest.approx(np.exp(x[0] * columns[:, 1]).sum(), rel=1e-14)
    assert wrong[0] == pytest.approx(4 * np.exp(x[0] * columns[0, 1]), rel=1e-14)
    assert wrong[0] != pytest.approx(right[0], rel=1e-3)


def test_no_rows_give_zero_and_are_not_read() -> None:
    out = sums_at(summed("exp(a * k) * m + b"), [1.0, 2.0], [0.5], np.empty((0, 2)))
    np.testing.assert_array_equal(out, np.zeros(10))


def test_targets_without_columns_count_every_row() -> None:
    x, z, columns = points(np.random.default_rng(4))
    np.testing.assert_allclose(sums_at(summed("a * b", 0), x, z, columns), 4 * x[0] * x[1], rtol=1e-15)
    np.testing.assert_allclose(sums_at(summed("2.5", 0), x, z, columns), 10.0, rtol=1e-15)


def test_kernels_sum_over_the_rows_that_they_name() -> None:
    @entry
    def of_cluster(address, x, z, columns, first, rows, out):  # type: ignore[no-untyped-def]
        call_row_sums(address, x, z, columns, first, rows, out)

    sums = summed("a * m + b * k + c")
    x, z, columns = points(np.random.default_rng(5))
    out = np.full(10, np.nan)
    of_cluster(sums.address, x, z, columns, 1, 2, out)
    np.testing.assert_array_equal(out, sums_at(sums, x, z, columns[1:3]))


def test_sums_go_to_other_processes() -> None:
    sums = summed("a * m + b")
    content = pickle.dumps(sums)
    row_sums._load.cache_clear()
    again = pickle.loads(content)
    assert again is not sums
    at = points(np.random.default_rng(6))
    np.testing.assert_array_equal(sums_at(again, *at), sums_at(sums, *at))


def test_machine_code_is_kept_and_what_is_damaged_is_compiled_again(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path)
    monkeypatch.delenv(cache.SAID, raising=False)
    emitted: list[str] = []
    binding = machine.binding
    parse_assembly = binding.parse_assembly
    monkeypatch.setattr(binding, "parse_assembly", lambda text: (emitted.append(text), parse_assembly(text))[1])
    at = points(np.random.default_rng(7))

    def found() -> np.ndarray:
        row_sums._load.cache_clear()  # as in another process
        return sums_at(summed("a * m - k", 0), *at)

    expected = found()
    np.testing.assert_array_equal(found(), expected)
    assert sum("row_sums" in text for text in emitted) == 1, "the second time it comes from the folder"
    (path,) = tmp_path.glob("machine/*.o")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(CacheWarning, match="damaged"):
        np.testing.assert_array_equal(found(), expected)
    assert sum("row_sums" in text for text in emitted) == 2


def test_a_graph_has_the_bound_that_it_is_given() -> None:
    text = "+".join(f"exp({i} * a)" for i in range(2, 32))
    assert len(graph_of(text)[0].nodes) > 100
    with pytest.raises(ExpressionError, match="more than 100 operations"):
        Graph(100).translate(parse(text).body, {name: i for i, name in enumerate(NAMES)})


def test_derivatives_of_no_more_nodes_than_depend_on_the_parameter() -> None:
    """So that many parameters cost no more than what each one does."""
    graph = Graph()
    terms = "+".join(f"exp(p{i} * k)" for i in range(20))
    node = graph.translate(parse(terms).body, {"k": 20, **{f"p{i}": i for i in range(20)}})
    for j in range(20):
        graph.derivative(node, j)
    assert len(graph.nodes) < 250
    compile_row_sums(graph, [graph.derivative(node, 3)], 20, 0, ())
