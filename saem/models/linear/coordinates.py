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
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from saem.constraint import parameters_of, split
from saem.data import ModelData
from saem.models.coordinates import USERS, Coordinates
from saem.models.linear.columns import Columns, are_plain, centred_and_scaled, power_of_two, root_mean_square
from saem.parameters import Parameters

Array = np.ndarray

FAR = 1e-4  # of the response: where least squares leave less than this, what they explain is subtracted
ROUNDING = 1e-14  # of the response: where they leave less than this, they fit it exactly
INSIDE = np.nextafter(1.0, 0.0)  # the largest correlation below one


@dataclass(frozen=True, eq=False)
class LinearCoordinates(Coordinates):
    """Inner coordinates of the linear family.

    Attributes
    ----------
    users : Parameters
        The user's.
    means, effects : Columns
        The columns of the means and of the random effects.
    reference : (p,) ndarray
        Coefficients of the inner columns that are subtracted from the response.
    unit : float
        Of the response, a power of two.
    mean_index, sd_index, corr_index, residual_index : ndarray
        As in `ModelData`.
    """

    users: Parameters
    means: Columns
    effects: Columns
    reference: Array
    unit: float
    mean_index: Array
    sd_index: Array
    corr_index: Array
    residual_index: Array

    is_users = False

    def parameters(self, inner: Parameters) -> Parameters:
        """See `Coordinates`."""
        return self.users

    def inside(self, data: ModelData) -> ModelData:
        """See `Coordinates`."""
        design = self.means.apply(data.mean_design)
        left = data.response
        explained = [abs(r) * float(np.max(np.abs(x), initial=0.0)) for r, x in zip(self.reference, design.T, strict=True)]
        for j in np.argsort(explained)[::-1]:  # the largest first, which is exact
            if self.reference[j] != 0.0:
                left = left - self.reference[j] * design[:, j]
        values = np.where(self.users.fixed, self.to_inner(np.nan_to_num(self.users.fixed_values)), np.nan)
        return replace(
            data,
            parameters=replace(self.users, fixed=self.users.fixed.copy(), fixed_values=values),
            response=np.ascontiguousarray(left / self.unit),
            mean_design=np.ascontiguousarray(design),
            random_design=np.ascontiguousarray(self.effects.apply(data.random_design)),
        )

    @property
    def loading(self) -> Array:
        """``s N`` (q, q): the user's random effects from the inner ones."""
        return self.unit * self.effects.forward

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
        if self.effects.mixes:
            for sd, corr in self.blocks:
                put_covariance(out, sd, corr, turned(x, sd, corr, self.loading), is_singular(x, sd, corr))
        return out

    def to_inner(self, x: Array) -> Array:
        """See `Coordinates`."""
        out = np.asarray(x, dtype=float) / self.factors
        users = np.asarray(x, dtype=float)[..., self.mean_index]
        out[..., self.mean_index] = (users @ self.means.backward.T - self.reference) / self.unit
        if self.effects.mixes:
            for sd, corr in self.blocks:
                back = self.effects.backward / self.unit
                put_covariance(out, sd, corr, turned(x, sd, corr, back), is_singular(x, sd, corr))
        return out

    @property
    def blocks(self) -> list[tuple[Array, Array]]:
        """Standard deviations (q,) and correlations (q, q) of the variance groups, each once."""
        pairs = {tuple(sd): (sd, corr) for sd, corr in zip(self.sd_index, self.corr_index, strict=True)}
        return list(pairs.values())

    def jacobian(self, x: Array) -> Array:
        """See `Coordinates`."""
        jacobian = np.diag(self.factors)
        jacobian[np.ix_(self.mean_index, self.mean_index)] = self.unit * self.means.forward
        if self.effects.mixes:
            for sd, corr in self.blocks:
                put_slopes(jacobian, x, sd, corr, self.loading)
        return jacobian

    def is_aligned(self, i: int) -> bool:
        """See `Coordinates`."""
        if i in self.mean_index:
            return int(np.count_nonzero(self.means.forward[list(self.mean_index).index(i)])) == 1
        if not self.effects.mixes:
            return True
        if i in self.sd_index:
            term = int(np.argwhere(self.sd_index == i)[0, 1])
            return int(np.count_nonzero(self.effects.forward[term])) == 1
        return i not in self.corr_index

    def sizes(self, scale: Array) -> Array:
        """See `Coordinates`."""
        out = scale * self.factors
        out[self.mean_index] = np.max(np.abs(self.unit * self.means.forward) * scale[self.mean_index], axis=1)
        for sd in self.sd_index:
            out[sd] = np.max(np.abs(self.loading) * scale[sd], axis=1)
        return out

    def pinned(self, x: Array, pinned: Array) -> Array:
        """See `Coordinates`."""
        if not self.effects.mixes:
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
        return out

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
        if not self.effects.mixes or (i not in self.sd_index and i not in self.corr_index):
            return times(float(self.factors[i]), name)
        for sd, corr in self.blocks:
            for j in range(len(sd)):
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

    def constants(self, data: ModelData, basis: Array) -> tuple[float, float]:
        """See `Coordinates`."""
        stretch = -len(data.response) * float(np.log(self.unit))
        inner = data.mean_design[:, basis]
        users = (data.mean_design @ self.means.backward)[:, basis]
        if not np.any(self.means.part[np.ix_(~np.isin(np.arange(len(self.means.unit)), basis), basis)]):
            volume = -float(np.sum(np.log(self.means.unit[basis])))  # a triangular matrix, but for the order
        else:
            volume = log_volume(inner) - log_volume(users)
        return stretch, len(basis) * float(np.log(self.unit)) + volume

    def describe(self) -> tuple[str, ...]:
        """See `Coordinates`."""
        found = []
        for what, columns, names in (
            ("means", self.means, [self.users.names[i] for i in self.mean_index]),
            ("random effects", self.effects, [self.users.names[i] for i in self.sd_index[0]]),
        ):
            changed = [
                f"{names[j]} ({' and '.join(done)})"
                for j in range(len(names))
                if (done := [*(["centred"] if columns.part[:, j].any() else []), *scaled(columns.unit[j])])
            ]
            if changed:
                found.append(f"columns of the {what}: {', '.join(changed)}")
        parts = [*(["a reference subtracted"] if self.reference.any() else []), *scaled(self.unit)]
        if parts:
            found.append(f"response: {' and '.join(parts)}")
        return tuple(found)


def scaled(unit: float) -> list[str]:
    """A unit in words; none for 1."""
    return [] if unit == 1.0 else [f"in units of {unit:.4g}"]


def times(factor: float, text: str) -> str:
    """A product as text."""
    return text if factor == 1.0 else f"{factor!r} * {text}"


def log_volume(columns: Array) -> float:
    """``log |X'X| / 2`` of columns (n, r) that are linearly independent."""
    length = np.linalg.norm(columns, axis=0)
    upper = np.linalg.qr(columns / length, mode="r")
    return float(np.sum(np.log(np.abs(np.diag(upper)))) + np.sum(np.log(length)))


def rewritten(name: str, text: str, expression: object) -> str:
    """A constraint with its parameters replaced by expressions."""

    class Substitute(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> ast.AST:  # the name of a function is none of a parameter
            node.args = [self.visit(argument) for argument in node.args]
            return node

        def visit_Name(self, node: ast.Name) -> ast.AST:
            if node.id not in used:
                return node
            return ast.parse(f"({expression(node.id)})", mode="eval").body  # type: ignore[operator]

    used = parameters_of(name, text)
    sides = [ast.parse(f"({ast.unparse(side)})", mode="eval").body for side in split(name, text)]
    left, right = (ast.unparse(Substitute().visit(side)) for side in sides)
    return f"{left} == {right}"


def covariance_of(x: Array, sd: Array, corr: Array) -> Array:
    """Covariance matrices (.., q, q) of parameters (.., n)."""
    x = np.asarray(x, dtype=float)
    correlation = np.where(corr >= 0, x[..., corr], 0.0) + np.eye(len(sd))
    return np.asarray(x[..., sd, None] * x[..., None, sd] * correlation)


def turned(x: Array, sd: Array, corr: Array, loading: Array) -> Array:
    """Covariance matrices (.., q, q) of other random effects, ``loading`` (q, q) times those of parameters (.., n)."""
    return np.asarray(loading @ covariance_of(x, sd, corr) @ loading.T)


def is_singular(x: Array, sd: Array, corr: Array) -> Array:
    """Whether two random effects are one, exactly, at parameters (.., n)."""
    x = np.asarray(x, dtype=float)
    if len(sd) != 2:
        return np.zeros(x.shape[:-1], dtype=bool)
    return np.asarray(np.any(x[..., sd] == 0.0, axis=-1) | (np.abs(x[..., corr[0, 1]]) == 1.0))


def put_covariance(x: Array, sd: Array, corr: Array, omega: Array, singular: Array) -> None:
    """Write standard deviations and correlations of matrices (.., q, q) into parameters (.., n)."""
    size = np.sqrt(np.maximum(np.diagonal(omega, axis1=-2, axis2=-1), 0.0))
    x[..., sd] = size
    for j in range(len(sd)):
        for k in range(j):
            both = size[..., j] * size[..., k]
            value = np.divide(omega[..., j, k], both, out=np.zeros_like(both), where=both > 0.0)
            end = np.where(singular & (both > 0.0), 1.0, INSIDE)
            x[..., corr[j, k]] = np.where(singular & (both > 0.0), np.sign(value), np.clip(value, -end, end))


def put_slopes(jacobian: Array, x: Array, sd: Array, corr: Array, loading: Array) -> None:
    """Write the derivatives of the user's standard deviations and correlations of a block by the inner ones."""
    q, omega = len(sd), turned(x, sd, corr, loading)
    size = np.sqrt(np.maximum(np.diag(omega), 0.0))
    inverse = np.divide(1.0, size, out=np.zeros(q), where=size > 0.0)
    inner = np.where(corr >= 0, x[corr], 0.0) + np.eye(q)
    moves = []
    for j in range(q):
        change = np.zeros((q, q))
        change[j] += x[sd] * inner[j]
        change[:, j] += x[sd] * inner[j]
        moves.append((int(sd[j]), change))
        for k in range(j):
            change = np.zeros((q, q))
            change[j, k] = change[k, j] = x[sd[j]] * x[sd[k]]
            moves.append((int(corr[j, k]), change))
    for i, change in moves:
        slope = loading @ change @ loading.T
        relative = 0.5 * np.diag(slope) * inverse**2  # of the logarithms of the standard deviations
        jacobian[sd, i] = relative * size
        for j in range(q):
            for k in range(j):
                rho = omega[j, k] * inverse[j] * inverse[k]
                jacobian[corr[j, k], i] = slope[j, k] * inverse[j] * inverse[k] - rho * (relative[j] + relative[k])


def coordinates_of(constraints: Mapping[str, str], data: ModelData, last: int = -1) -> Coordinates:
    """The coordinates in which to solve the problem of a table: the user's own where they do.

    Parameters
    ----------
    constraints : mapping of str to str
    data : ModelData
    last : int
        A parameter, a mean or a standard deviation, that is to depend on the inner one of the same name alone, if any.
    """
    free = ~data.parameters.fixed[data.mean_index]
    means = Columns.same(data.mean_design.shape[1])
    if last >= 0 or not are_plain(data.mean_design, free):
        column = list(data.mean_index).index(last) if last in data.mean_index else -1
        means = centred_and_scaled(data.mean_design, free, np.full(len(free), np.nan), column)
    design = means.apply(data.mean_design) if not means.is_same else data.mean_design
    reference, unit = level_and_unit(design, data.response, free)
    fixed = data.parameters.fixed_values[data.mean_index]
    reference = np.where(free, reference, np.where(reference != 0.0, fixed * means.unit, 0.0))
    found = LinearCoordinates(
        users=data.parameters,
        means=means,
        effects=effects_of(data, last),
        reference=reference,
        unit=unit,
        mean_index=data.mean_index,
        sd_index=data.sd_index,
        corr_index=data.corr_index,
        residual_index=data.residual_index,
    )
    plain = means.is_same and found.effects.is_same and unit == 1.0 and not reference.any()
    return USERS if plain else found


def level_and_unit(design: Array, response: Array, free: Array) -> tuple[Array, float]:
    """What to subtract from a response, as coefficients (p,), and its unit."""
    length = np.sqrt(np.maximum(np.einsum("ij,ij->j", design, design), 1e-300))
    coefficients = np.zeros(design.shape[1])
    left, size = response, root_mean_square(response)
    if not size > 0.0:
        return coefficients, 1.0
    gram = (design.T @ design) / np.outer(length, length)
    for _ in range(2):
        step = np.linalg.lstsq(gram, (design.T @ left) / length, rcond=1e-10)[0] / length
        coefficients = coefficients + step
        left = left - design @ step
    rest = root_mean_square(left)
    if rest <= ROUNDING * size:
        return np.zeros(len(length)), 1.0
    if rest > FAR * size:
        return np.zeros(len(length)), power_of_two(rest)
    grain = 2.0 ** np.ceil(np.log2(rest)) * np.sqrt(len(design)) / length
    grain = 2.0 ** np.floor(np.log2(grain))
    return np.round(coefficients / grain) * grain, power_of_two(rest)


def effects_of(data: ModelData, last: int) -> Columns:
    """The change of the columns of the random effects."""
    sd, corr, fixed = data.sd_index, data.corr_index, data.parameters.fixed
    q = sd.shape[1]
    used = np.concatenate([sd.ravel(), corr[corr >= 0].ravel()])
    alike = bool(np.all(sd == sd[0]) and np.all(corr == corr[0]))
    slots = sd[0] if alike else sd.ravel()
    pairs = (corr[:1] if alike else corr)[:, *np.tril_indices(q, -1)].ravel()
    own = len(set(slots)) == len(slots) and len(set(pairs)) == len(pairs)
    full = bool(np.all(pairs >= 0)) and not fixed[used].any() and not np.isin(used, data.residual_index).any()
    movable = np.full(q, bool(full and own and q > 1))
    given = shared_units(data)
    if last < 0 and np.isnan(given).all() and are_plain(data.random_design, movable):
        return Columns.same(q)
    term = int(np.argwhere(sd == last)[0, 1]) if last in sd else -1
    return centred_and_scaled(data.random_design, movable, given, term)


def shared_units(data: ModelData) -> Array:
    """Units (q,) of terms whose standard deviation acts elsewhere too, which has to have one unit; nan of the others."""
    sd, q = data.sd_index, data.sd_index.shape[1]
    alike = np.arange(q)  # terms that share, also by way of a third one, have the same number
    for i in np.unique(sd):
        terms = np.unique(np.argwhere(sd == i)[:, 1])
        alike[np.isin(alike, alike[terms])] = alike[terms].min()
    given = np.full(q, np.nan)
    sizes = np.array([root_mean_square(column) for column in data.random_design.T])
    for number in np.unique(alike):
        terms = np.flatnonzero(alike == number)
        positive = sizes[terms][sizes[terms] > 0.0]
        if np.isin(sd[:, terms], data.residual_index).any():
            given[terms] = 1.0
        elif len(terms) > 1 and len(positive):
            given[terms] = power_of_two(float(np.exp(np.mean(np.log(positive)))))
    return given
