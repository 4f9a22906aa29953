"""A cache of compiled code that cannot be written or read costs time, and nothing else."""

from __future__ import annotations

import errno
import os
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest

from saem.errors import CacheWarning
from saem.expressions.constraint import Constraints, split
from saem.expressions.derivatives import Function, source_of
from saem.system import cache
from saem.system.jit import SealedFile, c_function, types
from saem.system.machine import machine_of

TEXT, PARAMETERS = "a == b**2 + 1", ("a", "b")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache folder of its own, and nothing said yet."""
    for name in ("NUMBA_CACHE_DIR", "SAEM_NUMBA_CACHE_DIR"):  # as `configure` leaves them
        monkeypatch.setenv(name, str(tmp_path / "numba"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "numba"))
    monkeypatch.setenv("SAEM_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv(cache.SAID, "")
    return tmp_path


def square(x):
    return x * x


def compiled() -> int:
    """Compile by Numba, check the result, and return whether it came from the cache."""
    function = c_function(square, types.float64(types.float64))
    assert function.ctypes(3.0) == 9.0
    return function.cache_hits


def assembled() -> int:
    """The same of a constraint, which is compiled without Numba."""
    function = machine_of(source_of([Function("constraint 'g'", *split("g", TEXT))], PARAMETERS), "functions")
    c, jacobian, hessian = Constraints(("g",), (TEXT,), PARAMETERS, *function).evaluate([1.0, 3.0])
    assert (c.tolist(), jacobian.tolist(), hessian[0, 1, 1]) == ([-9.0], [[1.0, -6.0]], -2.0)
    return 0


def only(folder: Path, pattern: str) -> Path:
    found = list(folder.rglob(pattern))
    assert len(found) == 1
    return found[0]


def test_a_second_process_finds_it(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error", CacheWarning)
        assert (compiled(), compiled()) == (0, 1)


def flipped(data: bytes) -> bytes:
    return data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]


@pytest.mark.parametrize("pattern", ["*.nbi", "*.nbc"])
@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2], flipped])
def test_damaged_machine_code_is_made_anew_and_said_once(folder, pattern, damage):
    compiled()
    path = only(folder, pattern)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(CacheWarning, match="is damaged; fits are right, but take longer") as said:
        assert compiled() == 0
        path.write_bytes(damage(path.read_bytes()))
        assert compiled() == 0
    assert len(said) == 1
    assert compiled() == 1, "it was mended"


def no_space(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("make", [compiled, assembled])
def test_a_full_disk(folder, monkeypatch, make):
    monkeypatch.setattr(cache.tempfile, "mkstemp", no_space)
    monkeypatch.setattr(SealedFile, "_open_for_write", no_space)
    with pytest.warns(CacheWarning, match="No space left on device") as said:
        assert (make(), make()) == (0, 0)
    assert len(said) == 1, "the second time nothing is said"
    assert not list(folder.rglob("*.tmp*"))
    monkeypatch.undo()


def test_no_folder_at_all(folder, monkeypatch):
    """The cache folder cannot be made, nor a temporary one."""
    monkeypatch.setenv("SAEM_CACHE_DIR", str(folder / "file" / "x"))
    (folder / "file").write_text("")
    monkeypatch.setattr(cache.tempfile, "mkdtemp", no_space)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(folder / "file" / "numba"))
    assert cache.cache_folder() is None
    with pytest.warns(CacheWarning, match="no folder in which compiled code could be kept"):
        assert compiled() == 0


def test_a_temporary_folder_is_shared_with_other_processes(folder, monkeypatch):
    (folder / "file").write_text("")
    monkeypatch.setenv("SAEM_CACHE_DIR", str(folder / "file" / "y"))
    monkeypatch.setattr(cache.tempfile, "tempdir", str(folder))
    found = cache.cache_folder()
    assert found is not None and found.parent.parent == folder
    assert os.environ["SAEM_CACHE_DIR"] == str(found.parent)


def test_the_same_content_is_not_written_again(tmp_path):
    path = tmp_path / "a"
    cache.write_atomically(path, b"one")
    inode = path.stat().st_ino
    cache.write_atomically(path, b"one")
    assert path.stat().st_ino == inode
    cache.write_atomically(path, b"two")
    assert path.read_bytes() == b"two" and list(tmp_path.iterdir()) == [path]
    np.testing.assert_equal(path.stat().st_mtime, 1e9)
