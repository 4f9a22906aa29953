"""Where compiled code is kept between processes.

A compiled function that Numba keeps on disk does not notice that a function it calls, in another file, was edited.
The folder is therefore named after a hash of all sources that are compiled.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from saem.errors import CacheWarning

_DAY = 86400.0
_KEEP_DAYS = 30
_BUILD = re.compile(r"build-[0-9a-f]{16}")
SAID = "SAEM_CACHE_TROUBLE_SAID"
COMPILING_SAID = "SAEM_COMPILING_SAID"  # in the environment of what another process has said already, or need not say
_OURS = "SAEM_NUMBA_CACHE_DIR"  # what configure() set, to tell it in a child process from a user's choice


@lru_cache(maxsize=1)
def source_hash() -> str:
    """Hash of the contents of the package's files that are compiled, those that mention `saem.system.jit`.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for folder, subfolders, files in os.walk(root):
        subfolders.sort()
        for file in sorted(files):
            if file.endswith(".py"):
                path = os.path.join(folder, file)
                with open(path, "rb") as stream:
                    content = stream.read()
                if b"saem.system.jit" in content or file == "jit.py":
                    digest.update(os.path.relpath(path, root).encode())
                    digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]


def _base() -> Path:
    """The user's cache folder, by the conventions of the operating system."""
    if chosen := os.environ.get("SAEM_CACHE_DIR"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "saem" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "saem"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "saem"


def cache_folder() -> Path | None:
    """Folder of this version's compiled code, made if need be.

    Returns
    -------
    Path or None
        Below ``$SAEM_CACHE_DIR``, or else the user's cache folder. Where that cannot be written, a temporary
        folder that this process removes when it ends; processes that it starts share it. None where there is no room
        for that, either.
    """
    return _usable(os.environ.get("SAEM_CACHE_DIR"))


def complain(reason: str) -> None:
    """Say that compiled code cannot be kept or read: once, and not again in processes that this one starts."""
    if not os.environ.get(SAID):
        os.environ[SAID] = "1"
        warnings.warn(
            f"{reason}; fits are right, but take longer to begin, since what they need is compiled anew. "
            "SAEM_CACHE_DIR names another folder for it",
            CacheWarning,
            stacklevel=2,
        )


@lru_cache(maxsize=8)
def _usable(chosen: str | None) -> Path | None:
    """The cache folder for this value of ``$SAEM_CACHE_DIR`` (the argument is the key of the memory)."""
    try:
        folder = _base() / f"build-{source_hash()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        unused = time.time() - folder.stat().st_mtime
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return _temporary()
    if unused > _DAY:
        with suppress(OSError):
            os.utime(folder)
            _prune(folder.parent)
    return folder


def _temporary() -> Path | None:
    """A folder for this process and those that it starts; None where there is no room for one."""
    try:
        base = tempfile.mkdtemp(prefix="saem-")
        atexit.register(shutil.rmtree, base, ignore_errors=True)
        folder = Path(base) / f"build-{source_hash()}"
        folder.mkdir(mode=0o700)
    except OSError:
        return None
    os.environ["SAEM_CACHE_DIR"] = base
    return folder


def _prune(base: Path) -> None:
    """Remove the folders of other versions that no process has used for a month."""
    for folder in base.iterdir():
        try:
            if _BUILD.fullmatch(folder.name) and time.time() - folder.stat().st_mtime > _KEEP_DAYS * _DAY:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass  # another process was faster


def configure() -> None:
    """Make Numba keep the package's compiled functions in `cache_folder`.

    Called when the package is imported, hence before any of its functions is compiled. A ``NUMBA_CACHE_DIR`` that
    the user has set is left alone. Does not import Numba.
    """
    current = os.environ.get("NUMBA_CACHE_DIR")
    if current and current != os.environ.get(_OURS):
        return
    numba = sys.modules.get("numba")
    config: Any = getattr(numba, "config", None)
    if not current and config is not None and config.CACHE_DIR:
        return
    usable = cache_folder()
    if usable is None:
        return
    folder = str(usable / "numba")
    os.environ["NUMBA_CACHE_DIR"] = os.environ[_OURS] = folder
    if config is not None:
        config.CACHE_DIR = folder


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that no other process ever sees a part of it; one that has this content already is left alone.

    Parameters
    ----------
    path : Path
        Where to write.
    content : bytes
        What to write.
    """
    with suppress(OSError):
        if path.read_bytes() == content:
            return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        # Numba tells versions of a file apart by its time: the same content gets the same time.
        os.utime(temporary, (1_000_000_000, 1_000_000_000))
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
