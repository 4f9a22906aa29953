"""Special functions as kernels, and as C functions for machine code that is written without Numba."""

from __future__ import annotations

from functools import cache
from typing import Any

from saem.system import functions
from saem.system.jit import c_function, kernel, types

log_expit = kernel(functions.log_expit)
normal_cdf = kernel(functions.normal_cdf)
probit = kernel(functions.probit)
log_normal_cdf = kernel(functions.log_normal_cdf)
mills = kernel(functions.mills)
lgamma = kernel(functions.lgamma)
polygamma = kernel(functions.polygamma)
logitnormal = kernel(functions.logitnormal)


@cache
def special_function(name: str) -> Any:
    """One of the functions as a C function, cached on disk; its ``address`` is good for the life of the process.

    Parameters
    ----------
    name : str
        ``f(double)``; ``polygamma(int64, double)``; ``logitnormal(int64, double, double)``.
    """
    arguments = {"polygamma": (types.int64, types.float64), "logitnormal": (types.int64, types.float64, types.float64)}
    return c_function(getattr(functions, name), types.float64(*arguments.get(name, (types.float64,))))
