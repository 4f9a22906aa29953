"""What the tests of the command `saem` share."""

from __future__ import annotations

import importlib

from typer.testing import CliRunner

from saem.cli import app

MODEL = """
response = "y"
cluster  = ["arm", "subject"]
[mean]
mu = "1"
effect = "arm == 'b'"
[random]
by = "arm"
sd = { a = "sigma1", b = "sigma2" }
[constraints]
g = "effect == sigma2**2 - sigma1**2"
"""

SETTINGS = ("--set", "mu=1", "--set", "sigma1=0.5", "--set", "sigma2 = 1", "--set", "sigma=0.2")
CROSSES = ("--cross", "arm=a,b", "--cross", "subject=1..3", "--cross", "time=0,0.5")


def invoke(*arguments, code=0):
    """The result of a command within this process; it must end with this exit code and without a traceback."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def replace(monkeypatch, name, **content):
    """Put other functions in place of those of the module `saem.<name>`."""
    module = importlib.import_module(f"saem.{name}")
    for key, value in content.items():
        monkeypatch.setattr(module, key, value, raising=False)
