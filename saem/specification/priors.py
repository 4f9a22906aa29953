"""Prior distributions: ``"half_normal(1)"`` as a text, its numbers, and what each kind of parameter can have.

Numbers are those of Stan: `exponential` and `gamma` have rates, `lognormal` the mean and the standard deviation of the
logarithm. `lkj` is the distribution of the correlation of two random effects, ``p(r) ~ (1 - r^2)^(eta - 1)``
(Lewandowski, Kurowicka & Joe 2009, for a matrix of two rows).
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from saem.errors import ExpressionError, ModelError, listing, nearest
from saem.expressions.constraint import split
from saem.expressions.folding import fold
from saem.expressions.grammar import MAX_CHARACTERS, names_in, parse
from saem.expressions.quoting import short
from saem.specification.domains import CORRELATION, Domain

if TYPE_CHECKING:
    from saem.specification.parameters import Parameters

#: The numbers that each distribution has.
DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "normal": ("mean", "sd"),
    "student_t": ("df", "location", "scale"),
    "half_normal": ("scale",),
    "half_student_t": ("df", "scale"),
    "half_cauchy": ("scale",),
    "exponential": ("rate",),
    "lognormal": ("mean of the logarithm", "sd of the logarithm"),
    "gamma": ("shape", "rate"),
    "inverse_gamma": ("shape", "scale"),
    "uniform": ("lower", "upper"),
    "lkj": ("eta",),
}
_ANY_NUMBER = {"mean", "location", "mean of the logarithm", "lower", "upper"}  # the others must be positive
_CALL = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*\((.*)\)\s*", flags=re.S)


@dataclass(frozen=True)
class Prior:
    """A distribution with its numbers.

    Attributes
    ----------
    name : str
        One of `DISTRIBUTIONS`.
    numbers : tuple of float
        In the order of `DISTRIBUTIONS`.
    """

    name: str
    numbers: tuple[float, ...]

    @property
    def support(self) -> tuple[float, float]:
        """The interval on which the density is positive."""
        if self.name == "uniform":
            return self.numbers[0], self.numbers[1]
        if self.name == "lkj":
            return -1.0, 1.0
        return (-math.inf if self.name in ("normal", "student_t") else 0.0), math.inf

    def density(self, x: Any) -> Any:
        """Density at numbers or at an array of them."""
        import numpy as np

        x = np.asarray(x, dtype=float)
        if self.name.startswith("half_"):
            return np.where(x >= 0.0, 2.0 * self._whole().pdf(x), 0.0)
        return self._whole().pdf(x)

    def log_density(self, x: Any) -> Any:
        """Logarithm of the density at numbers or at an array of them, which must be in the support."""
        import numpy as np

        return self._whole().logpdf(x) + (np.log(2.0) if self.name.startswith("half_") else 0.0)

    def quantile(self, q: Any) -> Any:
        """Quantiles at probabilities; those of uniform numbers are draws."""
        import numpy as np

        return self._whole().ppf(0.5 + 0.5 * np.asarray(q) if self.name.startswith("half_") else q)

    def _whole(self) -> Any:
        """The distribution of `scipy.stats`; of a half one, that which is symmetric about zero."""
        from scipy import stats

        numbers = self.numbers
        match self.name:
            case "normal":
                return stats.norm(*numbers)
            case "student_t":
                return stats.t(*numbers)
            case "half_normal":
                return stats.norm(0.0, *numbers)
            case "half_student_t":
                return stats.t(numbers[0], 0.0, numbers[1])
            case "half_cauchy":
                return stats.cauchy(0.0, *numbers)
            case "exponential":
                return stats.expon(scale=1.0 / numbers[0])
            case "lognormal":
                return stats.lognorm(numbers[1], scale=math.exp(numbers[0]))
            case "gamma":
                return stats.gamma(numbers[0], scale=1.0 / numbers[1])
            case "inverse_gamma":
                return stats.invgamma(numbers[0], scale=numbers[1])
            case "uniform":
                return stats.uniform(numbers[0], numbers[1] - numbers[0])
        return stats.beta(numbers[0], numbers[0], -1.0, 2.0)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{number:.6g}' for number in self.numbers)})"


@lru_cache(maxsize=1024)
def parse_prior(text: str) -> Prior:
    """Read a prior; its numbers may be computed, as in ``"lognormal(log(0.4), 1/2)"``.

    Parameters
    ----------
    text : str
        ``"distribution(number, ...)"``. It is parsed in the language of expressions, never evaluated as Python.

    Raises
    ------
    ModelError
        Saying what is wrong with it.
    """
    if len(text) > MAX_CHARACTERS:
        raise ModelError(f"a prior must have at most {MAX_CHARACTERS} characters; got {len(text)}: {short(text)}")
    found = _CALL.fullmatch(text)
    if found is None:
        raise ModelError(f"a prior must be written distribution(numbers), such as 'normal(0, 2)'; got {short(text)}")
    name, inside = found.groups()
    if name not in DISTRIBUTIONS:
        raise ModelError(
            f"there is no distribution {short(name)}{nearest(name, DISTRIBUTIONS)} in {short(text)}; there are "
            f"{', '.join(DISTRIBUTIONS)}"
        )
    wanted = DISTRIBUTIONS[name]
    parts = inside.split(",") if inside.strip() else []
    if len(parts) != len(wanted):
        raise ModelError(f"{name}({', '.join(wanted)}) has {len(wanted)} numbers; got {len(parts)} in {short(text)}")
    numbers = tuple(_number(part, text) for part in parts)
    for what, number in zip(wanted, numbers, strict=True):
        if what not in _ANY_NUMBER and not number > 0.0:
            raise ModelError(f"the {what} of {name} must be positive; got {number:g} in {short(text)}")
    if name == "uniform" and not numbers[0] < numbers[1]:
        raise ModelError(f"uniform(lower, upper) needs lower < upper; got {short(text)}")
    return Prior(name, numbers)


def _number(part: str, text: str) -> float:
    """A number of a prior."""
    try:
        value = fold(parse(part).body, part)
    except ExpressionError as error:
        raise ModelError(f"{short(text)}: {error}") from None
    if value is None:
        raise ModelError(f"the numbers of a prior must be numbers; got {short(part)} in {short(text)}")
    return value


def problems_of(
    priors: Mapping[str, str], parameters: Parameters, constraints: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """What is wrong with priors that can be read, when the parameters are known.

    Parameters
    ----------
    priors : mapping of str to str
        By parameter.
    parameters : Parameters
    constraints : mapping of str to str
        By name.

    Yields
    ------
    name, problem : str
        The parameter and a sentence.
    """
    for name, text in priors.items():
        if name not in parameters.names:
            found = f"{nearest(name, parameters.names)}; the parameters are {listing(parameters.names, 20)}"
            yield name, f"there is no parameter {name!r}{found}"
            continue
        i = parameters.index(name)
        if parameters.fixed[i]:
            yield (
                name,
                f"it is fixed at {parameters.fixed_values[i]:g} in [fixed], so it has no prior; remove one of both",
            )
        elif problem := support_problem(parse_prior(text), parameters.domains[i]):
            yield name, problem
    fixed = {name for name, held in zip(parameters.names, parameters.fixed, strict=True) if held}
    for constraint, text in constraints.items():
        candidates, is_explicit = solved_for(constraint, text, fixed)
        if not candidates or not set(candidates) <= set(priors):
            continue
        if is_explicit:
            yield (
                candidates[0],
                f"the constraint {constraint!r} determines it ({text}), so it has no prior of its own: what is likely "
                "follows from the priors of the other parameters. Remove it",
            )
        else:
            yield (
                candidates[-1],
                f"the constraint {constraint!r} must determine one of {listing(candidates)}, and all of them have a "
                "prior; remove one",
            )


def support_problem(prior: Prior, domain: Domain) -> str:
    """Why a distribution cannot be that of a parameter with some domain; empty if it can."""
    low, high = domain.low, domain.high
    if (prior.name == "lkj") != (domain == CORRELATION) and prior.name != "uniform":
        if domain == CORRELATION:
            return f"the prior of a correlation must be lkj(eta), or uniform within (-1, 1); got {str(prior)!r}"
        return f"lkj is for correlations, and this is {domain.words}; got {str(prior)!r}"
    if low <= prior.support[0] and prior.support[1] <= high:
        return ""
    if prior.name == "uniform":
        return f"{domain.words} lies in ({low:g}, {high:g}); got {str(prior)!r}"
    half = {"normal": "half_normal(scale)", "student_t": "half_student_t(df, scale)"}[prior.name]
    return (
        f"{domain.words} is positive, and {prior.name} is not; write {half}, or lognormal, gamma or inverse_gamma, "
        f"which have their mass away from zero; got {str(prior)!r}"
    )


def solved_for(constraint: str, text: str, held: Collection[str]) -> tuple[list[str], bool]:
    """The parameters of which a constraint can determine one, and whether it is explicit (``name == expression``)."""
    sides = split(constraint, text)
    used = [names_in(side) for side in sides]
    bare = [
        side.id
        for side, others in zip(sides, used[::-1], strict=True)
        if isinstance(side, ast.Name) and side.id not in others
    ]
    bare = [name for name in bare if name in used[0] + used[1] and name not in held]
    if bare:
        return bare, True
    return [name for name in dict.fromkeys(used[0] + used[1]) if name not in held], False
