"""Threads of linear algebra: the matrices here are so small that threads cost more than they save."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any, cast

#: The environment of a process that others run beside.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}


@cache
def controller() -> Any:
    """Knows the libraries of linear algebra in this process."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()


def one_thread() -> AbstractContextManager[None]:
    """Linear algebra by one thread for a while; a second one takes a millisecond to begin."""
    return cast(AbstractContextManager[None], controller().limit(limits=1, user_api="blas"))
