"""`python -m experiments`: simulation studies from the command line."""

from experiments.commands import app

if __name__ == "__main__":
    app(prog_name="python -m experiments")
