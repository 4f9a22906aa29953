"""`python -m paper`: build the paper, run its studies anew, verify a rerun."""

from paper.pipeline.commands import app

if __name__ == "__main__":
    app(prog_name="python -m paper")
