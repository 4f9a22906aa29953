"""`python -m experiments`: simulation studies from the command line."""

import faulthandler

from experiments.commands import app

if __name__ == "__main__":
    faulthandler.enable()  # a study whose import kills this process shows where
    app(prog_name="python -m experiments")
