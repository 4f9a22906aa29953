"""`saem.system.linking`: large kernels are not copied into what calls them, in memory and on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from saem.system import linking
from saem.system.linalg import cholesky_semidefinite

#: A caller outside the package, which says the rank of a matrix, and how often it was read from the cache.
OWN = """
import numpy as np
from saem.system.jit import entry
from saem.system.linalg import factor_jacobian

@entry
def rank_of(a):
    m, n = a.shape
    return factor_jacobian(a, m, n, np.empty((m, n)), np.empty((m, m)), np.empty(m, np.int64))
"""
CODE = """
import numpy as np, own
print(own.rank_of(np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]])), sum(own.rank_of.stats.cache_hits.values()))
"""


def compiled(function, *arguments) -> str:
    """The code of a function, as LLVM has it."""
    function(*arguments)
    (result,) = function.overloads.values()
    code: str = result.library.get_llvm_str()
    return code


@pytest.mark.parametrize("copied", [False, True])
def test_what_is_large_is_called_by_its_symbol(monkeypatch: pytest.MonkeyPatch, copied: bool) -> None:
    """Were nothing large, there would be a copy, which is noticed; of types that nobody else uses."""
    if copied:
        monkeypatch.setattr(linking, "LARGE", 10**9)
    dtype = np.float32 if copied else np.float64

    @numba.njit
    def call(a, out, n):  # type: ignore[no-untyped-def]
        cholesky_semidefinite(a, out, n)

    out = np.empty((2, 2), dtype)
    code = compiled(call, np.diag([4.0, 9.0]).astype(dtype), out, 2)
    assert np.array_equal(out, np.diag([2.0, 3.0]))
    assert ("saem.system.linalg.cholesky_semidefinite." in code) is not copied
    assert ("fdiv" in code) is copied


def run(folder: Path) -> str:
    environment = os.environ | {"SAEM_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment = {name: value for name, value in environment.items() if "NUMBA_CACHE_DIR" not in name}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_a_caller_from_the_cache_has_what_it_calls(tmp_path: Path) -> None:
    """Even where that was removed since: it is compiled anew, and the caller is read all the same."""
    (tmp_path / "own.py").write_text(OWN)
    assert run(tmp_path) == "1 0"
    kept = list((tmp_path / "cache").rglob("linalg.factor_jacobian-*"))
    assert kept
    for path in kept:
        path.unlink()
    assert run(tmp_path) == "1 1"


def test_what_is_no_longer_what_it_was_is_missing() -> None:
    with pytest.raises(linking.Missing):
        linking.provide(linking.Call("saem.system.linalg", "no_such_function", (), "no symbol"))
