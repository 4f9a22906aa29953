"""The distributions of a row's response: their log-densities, with every constant, and what else is known of them.

Texts are templates of the language. In them ``y`` is the response, ``trials`` a column or number, ``event`` a column or
1; ``log_y`` is its logarithm, 0 where it is not positive, so that no part is nan where a time is 0. An argument that is
the inverse of a link of ``E`` has a density in terms of ``E``, which does not lose its digits in the tails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

HALF_LOG_2PI = "0.9189385332046727418"
LOG_Y = "log(where(y > 0, y, 1))"


@dataclass(frozen=True, eq=False)
class Density:
    """A log-density, and Fisher's information of a row in some quantities.

    Attributes
    ----------
    log_density : str
    quantities : mapping of str to str
        Name -> template, for those of `information` that are not arguments of the distribution.
    information : mapping of (str, str) to str
        Symmetric: each pair once. Of an event's time it is the cumulated hazard's, whose expectation is Fisher's.
    scored : tuple of str
        Arguments without an information of a simple form: the outer product of the score stands for it.
    """

    log_density: str
    information: Mapping[tuple[str, str], str] = field(default_factory=dict)
    quantities: Mapping[str, str] = field(default_factory=dict)
    scored: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Distribution:
    """A distribution that an outcome may have.

    Attributes
    ----------
    title : str
        For tables.
    arguments : tuple of str
        The keys of its expressions, in the order in which parameters are listed.
    density : Density
    linked : mapping of str to Density
        Inverse of a link, where the argument is written by it -> the density in terms of ``E``.
    mean, variance : str
        Of the response, not censored; empty where there is no simple form.
    scales, positive, chances : tuple of str
        Arguments that are residual standard deviations, positive numbers, and probabilities.
    support : str
        In words.
    is_whole, is_time, has_trials, has_cuts, can_be_censored : bool
        Whether responses are whole numbers, times to an event, have trials or cuts, and may be censored.
    """

    title: str
    arguments: tuple[str, ...]
    density: Density
    mean: str = ""
    variance: str = ""
    linked: Mapping[str, Density] = field(default_factory=dict)
    scales: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    chances: tuple[str, ...] = ()
    support: str = "finite numbers"
    is_whole: bool = False
    is_time: bool = False
    has_trials: bool = False
    has_cuts: bool = False
    can_be_censored: bool = False

    @property
    def signature(self) -> str:
        """What it needs, in words."""
        needs = [*self.arguments, *(["cuts"] if self.has_cuts else []), *(["trials"] if self.has_trials else [])]
        return f"its keys are {', '.join(needs)}"


NORMAL = Density(
    f"-0.5 * ((y - mean) / sd)**2 - log(sd) - {HALF_LOG_2PI}",
    {("mean", "mean"): "1 / sd**2", ("sd", "sd"): "2 / sd**2"},
)
LOGNORMAL = Density(
    f"-0.5 * (({LOG_Y} - log(median)) / sd)**2 - log(sd) - {LOG_Y} - {HALF_LOG_2PI}",
    {("median", "median"): "1 / (sd * median)**2", ("sd", "sd"): "2 / sd**2"},
)
#: Student's and the negative binomial law near their limits: differences of large numbers would lose all digits there.
_NEARLY_NORMAL = (
    f"-0.5 * ((y - mean) / sd)**2 - log(sd) - {HALF_LOG_2PI}"
    " + 0.25 * (((y - mean) / sd)**4 - 2 * ((y - mean) / sd)**2 - 1) / df"
)
_NEARLY_POISSON = "where(y > 0, y * log(mean), 0) - mean - lgamma(y + 1) + 0.5 * ((y - mean)**2 - y) / shape"
_STUDENT = Density(
    f"where(df > 1000000, {_NEARLY_NORMAL},"
    " lgamma(0.5 * (df + 1)) - lgamma(0.5 * df) - 0.5 * log(df * pi) - log(sd)"
    " - 0.5 * (df + 1) * log(1 + ((y - mean) / sd)**2 / df))",
    {
        ("mean", "mean"): "(df + 1) / ((df + 3) * sd**2)",
        ("sd", "sd"): "2 * df / ((df + 3) * sd**2)",
        ("sd", "df"): "-2 / ((df + 1) * (df + 3) * sd)",
    },
    scored=("df",),
)
_LOG_CHOICES = "lgamma(trials + 1) - lgamma(y + 1) - lgamma(trials - y + 1)"
_LOGIT_INFORMATION = "expit(E) * expit(-E)"
_PROBIT_INFORMATION = f"exp(-E**2 - 2 * {HALF_LOG_2PI} - log_normal_cdf(E) - log_normal_cdf(-E))"
_BERNOULLI = {
    "expit": Density("log_expit((2 * y - 1) * E)", {("logit", "logit"): _LOGIT_INFORMATION}, {"logit": "E"}),
    "normal_cdf": Density(
        "log_normal_cdf((2 * y - 1) * E)", {("probit", "probit"): _PROBIT_INFORMATION}, {"probit": "E"}
    ),
}
_BINOMIAL = {
    "expit": Density(
        f"{_LOG_CHOICES} + y * log_expit(E) + (trials - y) * log_expit(-E)",
        {("logit", "logit"): f"trials * {_LOGIT_INFORMATION}"},
        {"logit": "E"},
    ),
    "normal_cdf": Density(
        f"{_LOG_CHOICES} + y * log_normal_cdf(E) + (trials - y) * log_normal_cdf(-E)",
        {("probit", "probit"): f"trials * {_PROBIT_INFORMATION}"},
        {"probit": "E"},
    ),
}
_SMALL = "abs(shape * y) < 0.01"
_SERIES = (
    "(1 + shape * y / 2 * (1 + shape * y / 3 * (1 + shape * y / 4 * (1 + shape * y / 5 * (1 + shape * y / 6"
    " * (1 + shape * y / 7))))))"
)
GOMPERTZ_HAZARD = f"rate * where({_SMALL}, y * {_SERIES}, (exp(shape * y) - 1) / shape)"
_LOG_RATIO = f"({LOG_Y} - log(scale))"
WEIBULL_HAZARD = f"where(y > 0, exp(shape * {_LOG_RATIO}), 0)"

DISTRIBUTIONS: dict[str, Distribution] = {
    "normal": Distribution(
        "normal", ("mean", "sd"), NORMAL, "mean", "sd**2", scales=("sd",), can_be_censored=True
    ),
    "lognormal": Distribution(
        "log-normal", ("median", "sd"), LOGNORMAL, "median * exp(0.5 * sd**2)",
        "(median * exp(0.5 * sd**2))**2 * (exp(sd**2) - 1)",
        scales=("sd",), positive=("median",), support="positive numbers", is_time=True, can_be_censored=True,
    ),
    "student": Distribution(
        "Student's t", ("mean", "sd", "df"), _STUDENT, "mean", "sd**2 * df / (df - 2)",
        scales=("sd",), positive=("df",),
    ),
    "bernoulli": Distribution(
        "Bernoulli", ("probability",),
        Density("log(where(y == 1, probability, 1 - probability))",
                {("probability", "probability"): "1 / (probability * (1 - probability))"}),
        "probability", "probability * (1 - probability)", _BERNOULLI,
        chances=("probability",), support="0 or 1", is_whole=True,
    ),
    "binomial": Distribution(
        "binomial", ("probability",),
        Density(f"{_LOG_CHOICES} + where(y > 0, y * log(probability), 0)"
                " + where(y < trials, (trials - y) * log(1 - probability), 0)",
                {("probability", "probability"): "trials / (probability * (1 - probability))"}),
        "trials * probability", "trials * probability * (1 - probability)", _BINOMIAL,
        chances=("probability",), support="whole numbers from 0 to the number of trials", is_whole=True,
        has_trials=True,
    ),
    "poisson": Distribution(
        "Poisson", ("rate",),
        Density("where(y > 0, y * log(rate), 0) - rate - lgamma(y + 1)", {("rate", "rate"): "1 / rate"}),
        "rate", "rate", positive=("rate",), support="whole numbers, 0 or larger", is_whole=True,
    ),
    "negative_binomial": Distribution(
        "negative binomial", ("mean", "shape"),
        Density(f"where(shape > 10000000 * (1 + mean), {_NEARLY_POISSON},"
                " lgamma(y + shape) - lgamma(shape) - lgamma(y + 1) - shape * log(1 + mean / shape)"
                " + where(y > 0, y * (log(mean) - log(shape + mean)), 0))",
                {("mean", "mean"): "shape / (mean * (shape + mean))"}, scored=("shape",)),
        "mean", "mean + mean**2 / shape", positive=("mean", "shape"), support="whole numbers, 0 or larger",
        is_whole=True,
    ),
    "ordinal": Distribution(
        "ordinal", ("predictor",), Density("0"), is_whole=True, has_cuts=True,
        support="whole numbers from 1 to one more than there are cuts",
    ),
    "exponential": Distribution(
        "exponential time", ("scale",),
        Density("-event * log(scale) - y / scale", {("scale", "scale"): "y / scale**3"}),
        "scale", "scale**2", positive=("scale",), support="times, 0 or larger", is_time=True,
    ),
    "weibull": Distribution(
        "Weibull time", ("scale", "shape"),
        Density(f"event * (log(shape) + shape * {_LOG_RATIO} - {LOG_Y}) - {WEIBULL_HAZARD}",
                {("scale", "scale"): f"{WEIBULL_HAZARD} * (shape / scale)**2",
                 ("scale", "shape"): f"-{WEIBULL_HAZARD} * shape / scale * {_LOG_RATIO}",
                 ("shape", "shape"): f"event / shape**2 + {WEIBULL_HAZARD} * {_LOG_RATIO}**2"}),
        "scale * exp(lgamma(1 + 1 / shape))",
        "scale**2 * (exp(lgamma(1 + 2 / shape)) - exp(2 * lgamma(1 + 1 / shape)))",
        positive=("scale", "shape"), support="times, 0 or larger", is_time=True,
    ),
    "gompertz": Distribution(
        "Gompertz time", ("rate", "shape"),
        Density(f"event * (log(rate) + shape * y) - {GOMPERTZ_HAZARD}", scored=("rate", "shape")),
        positive=("rate", "shape"), support="times, 0 or larger", is_time=True,
    ),
}  # fmt: skip

#: A log-density of one's own.
OWN = Distribution("own log-density", (), Density("0"))
