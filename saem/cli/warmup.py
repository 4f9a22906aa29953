"""`saem warmup`: compile ahead."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from saem.cli.fit import Method
from saem.cli.options import optional


class Family(StrEnum):
    """What --family takes."""

    LINEAR = "linear"
    GLMM = "glmm"
    NONLINEAR = "nonlinear"


def warmup(
    family: Annotated[list[Family] | None, optional("May be repeated; all if omitted.", "FAMILY")] = None,
    method: Annotated[list[Method] | None, optional("May be repeated; saem and ml if omitted.", "METHOD")] = None,
) -> None:
    """Compile ahead what the first fits on a machine would wait for; about a minute, once."""
    from saem.cli.console import note, say
    from saem.fitting import warmup as ahead
    from saem.system.display import count

    methods = [name for each in method or [Method.BOTH] for name in each.methods]
    families = [each.value for each in family or Family]
    found = ahead.warmup(families, list(dict.fromkeys(methods)), progress=lambda text: note(f"{text} .."))
    say(f"{count(found, 'function')} compiled" if found else "all was compiled already")
