"""Simulation studies from the command line."""

from .harness.commands import app
from .names import COMMAND

if __name__ == "__main__":
    app(prog_name=COMMAND)
