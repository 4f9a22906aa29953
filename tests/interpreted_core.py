"""The compiled core of `saem.estep` and of the nonlinear family as plain Python; as a mutant, with a piece replaced.

Modules are executed from their text without Numba, and see each other through what they import. So a wrong
derivative or a wrong acceptance ratio can be tried without waiting for a compiler.
"""

from __future__ import annotations

import ast
from ctypes import CFUNCTYPE, POINTER, c_double, c_int64
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

PLAIN = (
    *("saem.system.jets", "saem.system.linalg", "saem.system.special", "saem.expressions.program"),
    *("saem.estep", "saem.families.normal"),
    *(
        f"saem.families.nonlinear.{name}"
        for name in ("complete", "density", "prepared", "integral", "integral_by_point", "reduction", "start")
    ),
)
FUNCTIONS = {  # of the contract
    "log_complete": ("saem.families.nonlinear.density", "log_complete_nonlinear"),
    "accumulate": ("saem.families.nonlinear.reduction", "accumulate_nonlinear"),
    "complete": ("saem.families.nonlinear.complete", "complete_all"),
    "complete_clusters": ("saem.families.nonlinear.complete", "complete_each"),
    "add_points": ("saem.families.nonlinear.integral", "add_points_nonlinear"),
    "limit": ("saem.families.nonlinear.reduction", "limit_step"),
}


DEFAULTS: dict[str, Any] = {  # where a family has none of its own
    "prepared_size": lambda arrays: 0,
    "prepare": lambda *_: True,
    "limit": lambda *_: None,
    "fill_carry": lambda *_: False,
}


def unprepared(core: Core, arrays: Any, x: Any, cluster: int, prepared: Any, effects: Any, value: Any) -> None:
    """What families have that prepare nothing for a cluster."""
    d = effects.shape[1]
    log_complete = core.found("saem.families.contract", "log_complete")
    log_complete(arrays, x, cluster, effects, 0, value, np.empty((0, d, 1)), np.empty((0, d, d, 1)))


def accumulated(
    core: Core, arrays: Any, x: Any, cluster: int, prepared: Any, effects: Any, weight: float, statistics: Any
) -> None:
    """What families have that prepare nothing for a cluster."""
    core.found("saem.families.contract", "accumulate")(arrays, x, cluster, effects, weight, statistics)


UNPREPARED = {"log_complete_prepared": unprepared, "accumulate_prepared": accumulated}
ROW_SUMS = CFUNCTYPE(None, *[POINTER(c_double)] * 3, c_int64, c_int64, POINTER(c_double))


def call_row_sums(address: int, x: Any, z: Any, columns: Any, first: int, rows: int, out: Any) -> None:
    """`saem.system.jit.call_row_sums` from Python; what it calls is machine code all the same."""
    width, inside = columns.shape[1], columns[first : first + rows]
    arrays = [np.ascontiguousarray(part, dtype=float) for part in (x, z, inside)]
    found = np.array(out, dtype=float)  # a view may have another base
    data = [part.ctypes.data_as(POINTER(c_double)) for part in (*arrays, found)]
    ROW_SUMS(int(address))(*data[:3], int(rows), int(width), data[3])
    out[...] = found


def same(function: Any) -> Any:
    """In place of the decorators that compile."""
    return function


class Core:
    """The modules, each executed when it is first asked for.

    Parameters
    ----------
    module, right, wrong : str, optional
        In this module, one piece of text is replaced by another.
    """

    def __init__(self, module: str = "", right: str = "", wrong: str = "") -> None:
        self.mutated = module, right, wrong
        self.loaded: dict[str, SimpleNamespace] = {}

    def __getitem__(self, name: str) -> SimpleNamespace:
        if name not in self.loaded:
            spec = find_spec(name)
            assert spec is not None and spec.origin is not None
            text = Path(spec.origin).read_text()
            module, right, wrong = self.mutated
            if name == module:
                assert right in text, f"{right!r} is not there any more: mend the mutant"
                text = text.replace(right, wrong)
            tree = ast.parse(text)
            names: dict[str, Any] = {"__name__": name}
            kept = []
            for node in tree.body:
                if isinstance(node, ast.ImportFrom) and str(node.module).startswith("saem"):
                    for alias in node.names:
                        names[alias.asname or alias.name] = self.found(str(node.module), alias.name)
                else:
                    kept.append(node)
            tree.body = kept
            exec(compile(tree, spec.origin, "exec"), names)
            self.loaded[name] = SimpleNamespace(**names)
        return self.loaded[name]

    def found(self, module: str, name: str) -> Any:
        """What an import means here."""
        if module == "saem.system.jit" and name == "call_row_sums":
            return call_row_sums
        if module == "saem.system.jit" and name != "types":
            return (lambda *_, **__: same) if name in ("overload", "standalone") else same
        if module == "saem.families.contract" and name in ("supply", "fall_back"):
            return lambda *_: None
        if module == "saem.families.contract" and name == "n_effects":
            return lambda arrays, x, cluster: arrays.sd_index.shape[1]
        if module == "saem.families.contract" and name in DEFAULTS and name not in FUNCTIONS:
            return DEFAULTS[name]
        if module == "saem.families.contract" and name in UNPREPARED:
            return partial(UNPREPARED[name], self)
        if module == "saem.families.contract" and name in FUNCTIONS:
            place, function = FUNCTIONS[name]
            return lambda *values: getattr(self[place], function)(*values)
        if module.startswith(PLAIN) and name.islower():
            return getattr(self[module], name)
        return getattr(import_module(module), name)
