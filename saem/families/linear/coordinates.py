"""The linear family in coordinates in which no numbers lose their digits.

With inner columns ``X' = X M`` and ``Z' = Z N`` (`columns`), a reference ``X' r`` that is subtracted from the response,
and its unit ``s``,

    y = s y' + X'r,    beta = M (s b + r),    Omega = s^2 N Omega' N',    sigma = s sigma'

where ``b, Omega', sigma'`` are the inner parameters, of the same names. ``N`` is diagonal where the covariance matrices
are not free ones: with a diagonal covariance, centring would be another model. The user's constraints are rewritten as
equations of the inner parameters. All of this is the identity, bit for bit, where nothing needs it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from saem.expressions.constraint import parameters_of, split
from saem.families.coordinates import Coordinates
from saem.families.gaussian_data import GaussianData
from saem.families.linear.columns import Columns
from saem.families.linear.turning import is_singular, put_covariance, put_slopes, turned
from saem.specification.parameters import Parameters
from saem.system.deferred import replaced

Array = np.ndarray

STEP = 1e-5  # of differences, in inner coordinates


@dataclass(frozen=True, eq=False)
class LinearCoordinates(Coordinates):
    """Inner coordinates of the linear family.

    Attributes
    ----------
    users : Parameters
        The user's.
    means, random : Columns
        The columns of the means and of the random effects.
    reference : (p,) ndarray
        Coefficients of the inner columns that are subtracted from the response.
    mean_index, sd_index, corr_index, residual_index : ndarray
        As in `GaussianData`.
    unit : float
        Of the response, a power of two.
    """

    users: Parameters
    means: Columns
    random: Columns
    reference: Array
    mean_index: Array
    sd_index: Array
    corr_index: Array
    residual_index: Array
    unit: float

    is_users = False
    turns_effects: ClassVar[bool] = True  # whether the columns of random effects may change, too

    def parameters(self, inner: Parameters) -> Parameters:
        """See `Coordinates`."""
        return self.users

    def inside(self, data: GaussianData) -> GaussianData:
        """See `Coordinates`."""
        design = self.means.apply(data.mean_design)
        left = data.response
        explained = [
            abs(r) * float(np.max(np.abs(x), initial=0.0)) for r, x in zip(self.reference, design.T, strict=True)
        ]
        for j in np.argsort(explained)[::-1]:  # the largest first, which is exact
            if self.reference[j] != 0.0:
                left = left - self.reference[j] * design[:, j]
        values = np.where(self.users.fixed, self.to_inner(np.nan_to_num(self.users.fixed_values)), np.nan)
        inside: GaussianData = replaced(
            data,
            parameters=replace(self.users, fixed=self.users.fixed.copy(), fixed_values=values),
            response=np.ascontiguousarray(left / self.unit),
            mean_design=np.ascontiguousarray(design),
            random_design=np.ascontiguousarray(self.random.apply(data.random_design)),
        )
        return inside

    def designs(self, means: Array, effects: Array) -> tuple[Array, Array]:
        """See `Coordinates`."""
        return self.means.apply(means), self.random.apply(effects)

    def level(self, means: Array) -> Array:
        """See `Coordinates`."""
        return np.asarray(means @ self.reference)

    def effects(self, theta: Array) -> Array:
        """See `Coordinates`."""
        return np.asarray(theta @ self.loading.T)

    def spreads(self, matrices: Array) -> Array:
        """See `Coordinates`."""
        return np.asarray(self.loading @ matrices @ self.loading.T)

    def matrix(self, x: Array, information: Array, gradient: Array) -> Array:
        """See `Coordinates`."""
        inverse = np.linalg.inv(self.jacobian(x))
        bent = np.zeros_like(information)
        if self.random.mixes:  # the only parameters that are not straight lines of the inner ones
            slope = inverse.T @ gradient
            for i in np.unique([*self.sd_index.ravel(), *self.corr_index[self.corr_index >= 0]]):
                step = STEP * np.where(np.arange(len(x)) == i, 1.0, 0.0)
                bent[i] = slope @ (self.jacobian(x + step) - self.jacobian(x - step)) / (2.0 * STEP)
        return np.asarray(inverse.T @ (information + 0.5 * (bent + bent.T)) @ inverse)

    @property
    def loading(self) -> Array:
        """``s N`` (q, q): the user's random effects from the inner ones."""
        return np.asarray(self.unit * self.random.forward)

    @property
    def factors(self) -> Array:
        """The user's parameters (n,) over the inner ones, of those that are only in another unit; 1 elsewhere."""
        factors = np.ones(len(self.users))
        factors[self.sd_index] = np.diag(self.loading)
        factors[self.residual_index] = self.unit
        return factors

    def to_user(self, x: Array) -> Array:
        """See `Coordinates`."""
        out = np.asarray(x, dtype=float) * self.factors
        inner = np.asarray(x, dtype=float)[..., self.mean_index]
        out[..., self.mean_index] = (self.unit * inner + self.reference) @ self.means.forward.T
        if self.random.mixes:
            for sd, corr in self.blocks:
                put_covariance(out, sd, corr, turned(x, sd, corr, self.loading), is_singular(x, sd, corr))
        return np.asarray(out)

    def to_inner(self, x: Array) -> Array:
        """See `Coordinates`."""
        out = np.asarray(x, dtype=float) / self.factors
        users = np.asarray(x, dtype=float)[..., self.mean_index]
        out[..., self.mean_index] = (users @ self.means.backward.T - self.reference) / self.unit
        if self.random.mixes:
            for sd, corr in self.blocks:
                back = self.random.backward / self.unit
                put_covariance(out, sd, corr, turned(x, sd, corr, back), is_singular(x, sd, corr))
        return np.asarray(out)

    @property
    def blocks(self) -> list[tuple[Array, Array]]:
        """Standard deviations (q,) and correlations (q, q) of the variance groups, each once."""
        pairs = {tuple(sd): (sd, corr) for sd, corr in zip(self.sd_index, self.corr_index, strict=True)}
        return list(pairs.values())

    def jacobian(self, x: Array) -> Array:
        """See `Coordinates`."""
        jacobian = np.diag(self.factors)
        jacobian[np.ix_(self.mean_index, self.mean_index)] = self.unit * self.means.forward
        if self.random.mixes:
            for sd, corr in self.blocks:
                put_slopes(jacobian, x, sd, corr, self.loading)
        return jacobian

    def is_aligned(self, i: int) -> bool:
        """See `Coordinates`."""
        if i in self.mean_index:
            return int(np.count_nonzero(self.means.forward[list(self.mean_index).index(i)])) == 1
        if not self.random.mixes:
            return True
        if i in self.sd_index:
            term = int(np.argwhere(self.sd_index == i)[0, 1])
            return int(np.count_nonzero(self.random.forward[term])) == 1
        return i not in self.corr_index

    def sizes(self, scale: Array) -> Array:
        """See `Coordinates`."""
        out = scale * self.factors
        out[self.mean_index] = np.max(np.abs(self.unit * self.means.forward) * scale[self.mean_index], axis=1)
        for sd in self.sd_index:
            out[sd] = np.max(np.abs(self.loading) * scale[sd], axis=1)
        return np.asarray(out)

    def pinned(self, x: Array, pinned: Array) -> Array:
        """See `Coordinates`."""
        if not self.random.mixes:
            return pinned
        out, users = pinned.copy(), self.to_user(x)
        for sd, corr in self.blocks:
            ties = corr[corr >= 0]
            if pinned[sd].any() or pinned[ties].any():  # the covariance matrix is singular, and so is the user's
                out[sd], out[ties] = users[sd] == 0.0, True
        return out

    def covariance(self, x: Array, matrix: Array, pinned: Array) -> Array:
        """See `Coordinates`."""
        jacobian, unknown = self.jacobian(x), np.isnan(np.diag(matrix)) & ~pinned
        out = jacobian @ np.nan_to_num(matrix) @ jacobian.T
        lost = np.any(jacobian[:, unknown] != 0.0, axis=1) | self.pinned(x, pinned)
        out[lost, :] = out[:, lost] = np.nan
        out[self.users.fixed, :] = out[:, self.users.fixed] = 0.0
        return np.asarray(out)

    def errors(self, x: Array, mcse: Array, covariance: Array | None, pinned: Array) -> Array:
        """See `Coordinates`."""
        jacobian = self.jacobian(x)
        known = np.nan_to_num(mcse)
        if covariance is None:
            out = np.abs(jacobian) @ known
            out[np.count_nonzero(jacobian[:, known > 0.0], axis=1) > 1] = np.nan  # how they move together is unknown
        else:
            some = known > 0.0
            matrix = np.where(some[:, None] & some, np.nan_to_num(covariance), 0.0)
            out = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", jacobian, matrix, jacobian), 0.0))
        unknown = np.isnan(mcse) & ~pinned
        out[np.any(jacobian[:, unknown] != 0.0, axis=1) | self.pinned(x, pinned)] = np.nan
        return np.where(self.users.fixed, 0.0, out)

    def constraints(self, texts: Mapping[str, str]) -> Mapping[str, str]:
        """See `Coordinates`."""
        return {name: rewritten(name, text, self.expression) for name, text in texts.items()}

    def expression(self, name: str) -> str:
        """The user's parameter in terms of the inner ones, as text; its own name where it is the same."""
        i, names = self.users.index(name), self.users.names
        if i in self.mean_index:
            j = list(self.mean_index).index(i)
            forward = self.unit * self.means.forward
            constant = float(self.means.forward[j] @ self.reference)
            terms = [times(forward[j, k], names[self.mean_index[k]]) for k in np.flatnonzero(forward[j])]
            return " + ".join([*([repr(constant)] if constant else []), *terms])
        if not self.random.mixes or (i not in self.sd_index and i not in self.corr_index):
            return times(float(self.factors[i]), name)
        for sd, corr in self.blocks:
            for j in range(len(sd)):
                alone = np.flatnonzero(self.loading[j])
                if sd[j] == i and len(alone) == 1:
                    return times(self.loading[j, alone[0]], self.users.names[sd[alone[0]]])
                if sd[j] == i:
                    return f"sqrt({self.product(sd, corr, j, j)})"
                for k in range(j):
                    if corr[j, k] == i:
                        parts = [self.product(sd, corr, *pair) for pair in ((j, k), (j, j), (k, k))]
                        return f"({parts[0]}) / sqrt(({parts[1]}) * ({parts[2]}))"
        raise AssertionError(name)

    def product(self, sd: Array, corr: Array, j: int, k: int) -> str:
        """The covariance of two of the user's random effects in terms of the inner parameters, as text."""
        names, loading = self.users.names, self.loading
        terms = []
        for a in np.flatnonzero(loading[j]):
            for b in np.flatnonzero(loading[k]):
                between = f"{names[sd[a]]}**2" if a == b else f"{names[sd[a]]} * {names[sd[b]]} * {names[corr[a, b]]}"
                terms.append(times(float(loading[j, a] * loading[k, b]), between))
        return " + ".join(terms)

    def constants(self, data: GaussianData, basis: Array) -> tuple[float, float]:
        """See `Coordinates`."""
        stretch = -len(data.response) * float(np.log(self.unit))
        inner = data.mean_design[:, basis]
        users = (data.mean_design @ self.means.backward)[:, basis]
        if not np.any(self.means.part[np.ix_(~np.isin(np.arange(len(self.means.unit)), basis), basis)]):
            volume = -float(np.sum(np.log(self.means.unit[basis])))  # a triangular matrix, but for the order
        else:
            volume = log_volume(inner) - log_volume(users)
        return stretch, len(basis) * float(np.log(self.unit)) + volume

    def left(self, data: GaussianData) -> tuple[float, str]:
        """See `Coordinates`."""
        found = [(1.0, "")]
        for columns, design, index in (
            (self.means, data.mean_design, self.mean_index),
            (self.random, data.random_design, self.sd_index[0]),
        ):
            inner = columns.apply(design) * columns.unit
            for j in np.flatnonzero(columns.part.any(axis=0)):
                share = float(np.linalg.norm(inner[:, j]) / np.linalg.norm(design[:, j]))
                found.append((share, self.users.names[index[j]]))
        return min(found)

    def describe(self) -> tuple[str, ...]:
        """See `Coordinates`."""
        found = []
        for what, columns, names in (
            ("means", self.means, [self.users.names[i] for i in self.mean_index]),
            ("random effects", self.random, [self.users.names[i] for i in self.sd_index[0]]),
        ):
            changed = [words for j in range(len(names)) if (words := described(columns, names, j)) != names[j]]
            if changed:
                found.append(f"columns of the {what}: {', '.join(changed)}")
        done = ["a level subtracted"] if self.reference.any() else []
        done += [f"in units of {self.unit:.4g}"] if self.unit != 1.0 else []
        if done:
            found.append(f"response: {' and '.join(done)}")
        return tuple(found)


def described(columns: Columns, names: Sequence[str], j: int) -> str:
    """An inner column by the names of the parameters, such as ``year - 2014.5 intercept``."""
    parts = [
        f"{'-' if columns.part[i, j] > 0 else '+'} {abs(columns.part[i, j]):.10g} {names[i]}" for i in columns.order
    ]
    text = " ".join([names[j], *(part for i, part in zip(columns.order, parts, strict=True) if columns.part[i, j])])
    if columns.unit[j] == 1.0:
        return text
    return f"({text}) / {columns.unit[j]:.4g}" if columns.part[:, j].any() else f"{text} / {columns.unit[j]:.4g}"


def times(factor: float, text: str) -> str:
    """A product as text."""
    return text if factor == 1.0 else f"{float(factor)!r} * {text}"


def log_volume(columns: Array) -> float:
    """``log |X'X| / 2`` of columns (n, r) that are linearly independent."""
    length = np.linalg.norm(columns, axis=0)
    upper = np.linalg.qr(columns / length, mode="r")
    return float(np.sum(np.log(np.abs(np.diag(upper)))) + np.sum(np.log(length)))


def tree_of(text: str) -> ast.expr:
    """The syntax tree of an expression that `saem.expressions.grammar` has checked, or that was written here."""
    return ast.parse(f"({text})", mode="eval").body


def rewritten(name: str, text: str, expression: Callable[[str], str]) -> str:
    """A constraint with its parameters replaced by expressions."""

    class Substitute(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> ast.AST:  # the name of a function is none of a parameter
            node.args = [self.visit(argument) for argument in node.args]
            return node

        def visit_Name(self, node: ast.Name) -> ast.AST:
            if node.id not in used:
                return node
            return tree_of(expression(node.id))

    used = parameters_of(name, text)
    sides = [tree_of(ast.unparse(side)) for side in split(name, text)]  # trees that may be changed
    left, right = (ast.unparse(Substitute().visit(side)) for side in sides)
    return f"{left} == {right}"
