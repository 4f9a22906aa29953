"""Under which names the modules of this package are imported.

The folder is `experiments` in a checkout and `saem_experiments` where the project is installed: nobody else has a
package of that name. In a checkout it goes by both, so that a study's file may use either. The folders `harness`,
`studies` and `programs` may be left out of a name: `experiments.study.functions` is
`experiments.harness.study.functions`, and `python -m experiments.demo` runs `experiments.programs.demo`. Each module is
there once, whatever it is called.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

PACKAGE = __name__.rpartition(".")[0]
FOLDER = Path(__file__).parent
NAMES = (FOLDER.name, "saem_experiments")
COMMAND = f"python -m {FOLDER.name}"
LEFT_OUT = ("harness", "studies", "programs")


def parts_of(name: str) -> list[str] | None:
    """The parts of a module's full name below this package, whatever it is called; None for what is not of it."""
    package, *parts = name.split(".")
    if package not in (*NAMES, PACKAGE):
        return None
    for folder in LEFT_OUT:
        if parts and not is_there(parts[:1]) and is_there([folder, parts[0]]):
            return [folder, *parts]
    return parts


def is_there(parts: Sequence[str]) -> bool:
    """Whether there is a module or a package of these parts."""
    place = FOLDER.joinpath(*parts)
    return place.is_dir() or place.with_suffix(".py").is_file()


class Names(MetaPathFinder, Loader):
    """What finds modules by their other names."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Of a name that is not the module's own, where this package has such a module."""
        parts = parts_of(name)
        if not parts or not is_there(parts):
            return None
        own = ".".join([PACKAGE, *parts])
        return None if own == name else ModuleSpec(name, self, loader_state=own)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module itself; its own specification is kept, for the import replaces it."""
        module = importlib.import_module(spec.loader_state)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It was run when it was imported by its own name."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state

    def get_code(self, name: str) -> CodeType:
        """What `python -m` runs."""
        parts = parts_of(name)
        assert parts is not None
        own = ".".join([PACKAGE, *parts])
        return compile(f"import runpy; runpy.run_module({own!r}, run_name='__main__', alter_sys=True)", name, "exec")


def install() -> None:
    """Have the modules found by all of their names."""
    for name in NAMES:
        sys.modules.setdefault(name, sys.modules[PACKAGE])
    sys.meta_path.insert(0, Names())
