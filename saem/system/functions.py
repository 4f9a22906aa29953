"""Special functions of one number, in plain Python: for constants of expressions, where Numba would cost a second.

`saem.system.special` compiles them by `saem.system.jit`. Each stands alone, for compiled functions call no plain ones.
Where a function has no value it is nan.
"""

from __future__ import annotations

import math

#: Bernoulli numbers B_2, B_4, .. of the asymptotic series.
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
#: Derivatives of expit that `logitnormal` knows.
MAX_ORDER = 10

#: Coefficients of `probit`, the highest power first (Wichura 1988, algorithm AS 241).
_CENTRAL = (
    2.5090809287301226727e3,
    3.3430575583588128105e4,
    6.7265770927008700853e4,
    4.5921953931549871457e4,
    1.3731693765509461125e4,
    1.9715909503065514427e3,
    1.3314166789178437745e2,
    3.3871328727963666080e0,
)
_CENTRAL_DIVISOR = (
    5.2264952788528545610e3,
    2.8729085735721942674e4,
    3.9307895800092710610e4,
    2.1213794301586595867e4,
    5.3941960214247511077e3,
    6.8718700749205790830e2,
    4.2313330701600911252e1,
    1.0,
)
_TAIL = (
    7.74545014278341407640e-4,
    2.27238449892691845833e-2,
    2.41780725177450611770e-1,
    1.27045825245236838258e0,
    3.64784832476320460504e0,
    5.76949722146069140550e0,
    4.63033784615654529590e0,
    1.42343711074968357734e0,
)
_TAIL_DIVISOR = (
    1.05075007164441684324e-9,
    5.47593808499534494600e-4,
    1.51986665636164571966e-2,
    1.48103976427480074590e-1,
    6.89767334985100004550e-1,
    1.67638483018380384940e0,
    2.05319162663775882187e0,
    1.0,
)
_FAR = (
    2.01033439929228813265e-7,
    2.71155556874348757815e-5,
    1.24266094738807843860e-3,
    2.65321895265761230930e-2,
    2.96560571828504891230e-1,
    1.78482653991729133580e0,
    5.46378491116411436990e0,
    6.65790464350110377720e0,
)
_FAR_DIVISOR = (
    2.04426310338993978564e-15,
    1.42151175831644588870e-7,
    1.84631831751005468180e-5,
    7.86869131145613259100e-4,
    1.48753612908506148525e-2,
    1.36929880922735805310e-1,
    5.99832206555887937690e-1,
    1.0,
)


def _eulerian() -> tuple[tuple[float, ...], ...]:
    """Eulerian numbers A(k, m), by the derivatives of expit: ``sum_m (-1)^m A(k, m) p^(m + 1) (1 - p)^(k - m)``."""
    rows = [[0.0] * (MAX_ORDER + 1) for _ in range(MAX_ORDER + 1)]
    rows[0][0] = 1.0
    for k in range(1, MAX_ORDER + 1):
        for m in range(k):
            rows[k][m] = (m + 1) * rows[k - 1][m] + ((k - m) * rows[k - 1][m - 1] if m else 0.0)
    return tuple(tuple(row) for row in rows)


EULERIAN = _eulerian()


def log_expit(x: float) -> float:
    """``log(expit(x))``, exact also where expit rounds to 0 or 1."""
    least = x if x < 0.0 else 0.0
    return least - math.log1p(math.exp(-abs(x)))


def normal_cdf(x: float) -> float:
    """The standard normal distribution function."""
    return 0.5 * math.erfc(-0.7071067811865476 * x)


def probit(p: float) -> float:
    """The inverse of `normal_cdf`, by rational functions (Wichura 1988, algorithm AS 241)."""
    if not 0.0 < p < 1.0:
        return -math.inf if p == 0.0 else math.inf if p == 1.0 else math.nan
    q = p - 0.5
    above, below = 0.0, 0.0
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        for k in range(8):
            above, below = above * r + _CENTRAL[k], below * r + _CENTRAL_DIVISOR[k]
        return q * above / below
    r = math.sqrt(-math.log(p if q < 0.0 else 1.0 - p))
    if r <= 5.0:
        r -= 1.6
        for k in range(8):
            above, below = above * r + _TAIL[k], below * r + _TAIL_DIVISOR[k]
    else:
        r -= 5.0
        for k in range(8):
            above, below = above * r + _FAR[k], below * r + _FAR_DIVISOR[k]
    return above / below if q > 0.0 else -above / below


def log_normal_cdf(x: float) -> float:
    """Its logarithm, exact in both tails."""
    if x > 0.0:
        return math.log1p(-0.5 * math.erfc(0.7071067811865476 * x))
    if not x < -5.0:
        return math.log(0.5 * math.erfc(-0.7071067811865476 * x))
    ratio = -x
    for k in range(50, 0, -1):  # the continued fraction of density / distribution function
        ratio = k / ratio - x
    return -0.5 * x * x - 0.9189385332046727 - math.log(ratio)


def mills(x: float) -> float:
    """Standard normal density over distribution function: the derivative of `log_normal_cdf`."""
    if not x < -5.0:
        return 0.3989422804014327 * math.exp(-0.5 * x * x) / (0.5 * math.erfc(-0.7071067811865476 * x))
    ratio = -x
    for k in range(50, 0, -1):
        ratio = k / ratio - x
    return ratio


def lgamma(x: float) -> float:
    """Logarithm of the absolute value of the gamma function."""
    return math.lgamma(x)


def polygamma(order: int, x: float) -> float:
    """Derivative ``order + 1`` (1 or higher) of the logarithm of the gamma function, at positive numbers.

    By its recurrence up to where the asymptotic series is exact.
    """
    if not x > 0.0:
        return math.nan
    factorial = 1.0  # of order
    for k in range(2, order + 1):
        factorial *= k
    shifted = 0.0
    while x < 15.0 + order:
        power = 1.0 / x
        for _ in range(order):
            power /= x
        shifted += power
        x += 1.0
    inverse = 1.0
    for _ in range(order):
        inverse /= x
    series = -math.log(x) if order == 0 else factorial / order * inverse
    series += 0.5 * factorial * inverse / x
    ratio = 0.5 * factorial * (order + 1.0) * inverse  # (2k + order - 1)! / (2k)! x^-order at k = 1
    for k in range(1, 9):
        inverse = 1.0 / (x * x)
        ratio *= inverse
        series += BERNOULLI[k - 1] * ratio
        ratio *= (2.0 * k + order) * (2.0 * k + order + 1.0) / ((2.0 * k + 1.0) * (2.0 * k + 2.0))
    value = series + factorial * shifted
    return value if order % 2 else -value


def logitnormal(order: int, centre: float, sd: float) -> float:
    """Mean of derivative `order` of expit at ``centre + sd * Z``, Z standard normal.

    By the trapezoidal rule, which for such functions is exact up to exp(-2 pi^2 / (step * sd)), below 1e-20 here up to
    an SD of 100; derivatives of expit lose less than two digits of it each. The derivative in the centre is that of the
    next order, and the one in `sd` is ``sd`` times that of the order after.
    """
    width = abs(sd)
    if not (width < math.inf and abs(centre) < math.inf and order <= 10):
        return math.nan
    step = 0.2 if width <= 2.0 else 0.4 / min(width, 100.0)
    half = int(10.0 / step)
    total, mass = 0.0, 0.0
    for i in range(-half, half + 1):
        z = i * step
        weight = math.exp(-0.5 * z * z)
        at = centre + width * z
        small = math.exp(-abs(at))
        p = (1.0 if at > 0.0 else small) / (1.0 + small)
        q = (small if at > 0.0 else 1.0) / (1.0 + small)
        value = p
        if order > 0:
            value, power = 0.0, p * q
            for m in range(order - 1, -1, -1):  # the sum of `EULERIAN`
                term = EULERIAN[order][m] * power
                for _ in range(m):
                    term *= -p
                value += term
                power *= q
        total += weight * value
        mass += weight
    return total / mass
