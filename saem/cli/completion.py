"""`saem completion`: what a shell needs to complete commands, options and their values."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

VARIABLE = "_SAEM_COMPLETE"  # by which a shell asks


class Shell(StrEnum):
    """Shells that complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.", show_default=False)],
) -> None:
    """Print a script by which a shell completes `saem`.

    For bash: saem completion bash >> ~/.bashrc; for zsh the same with ~/.zshrc; for fish: saem completion fish >
    ~/.config/fish/completions/saem.fish.
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    typer.echo(get_completion_script(prog_name="saem", complete_var=VARIABLE, shell=shell.value))


def prepare() -> None:
    """Make typer understand what a shell asks."""
    from typer.completion import completion_init  # type: ignore[attr-defined]

    completion_init()
