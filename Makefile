# The front door: `make help` lists what there is. Every target that runs Python uses .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
MARKER := $(VENV)/.installed
DOCS   := $(VENV)/.docs
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help venv study demo picture test test-slow lint bench docs paper paper-quick paper-full paper-verify clean

help:  ## list these targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1|/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r name what; do \
	    printf '  make %-12s %s\n' "$$name" "$$what"; done

venv: $(MARKER)  ## create or update .venv (when missing, or older than pyproject.toml and setup.py)
	@echo "$(VENV) is up to date"

$(MARKER): pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "saem needs Python 3.11 or newer, and $(PYTHON) is older; try: make venv PYTHON=python3.12" >&2; exit 1; }
	@if [ ! -x $(BIN)/python ]; then echo "creating $(VENV)"; $(PYTHON) -m venv $(VENV); fi
	@echo "installing saem and its tools into $(VENV) (a minute or two the first time)"
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

study: $(MARKER)  ## the main job: SAEM and its relatives against direct ML, in quick form, with table, figures, report
	@$(BIN)/python -m experiments run headline --quick --report

demo: $(MARKER)  ## simulate the peptide data, fit by SAEM and by ML, compare with the truth
	@$(BIN)/python -m experiments.demo

picture: $(MARKER)  ## draw docs/demo.png, the picture of the README, anew
	@$(BIN)/python -m experiments.demo --picture docs/demo.png

test: $(MARKER)  ## run the fast tests, by two processes
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-slow: $(MARKER)  ## run the slow tests only (installs NumPyro, by which one of them checks)
	@$(BIN)/python -m pip install --quiet --editable '.[dev,referee]'
	@$(BIN)/python -m pytest -m slow

lint: $(MARKER)  ## ruff, mypy --strict and the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

$(DOCS): $(MARKER)
	@$(BIN)/python -m pip install --quiet --editable '.[dev,docs]'
	@touch $@

docs: $(DOCS)  ## build the site into docs/_build/html (some minutes; a warning is an error)
	@$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs docs/_build/html
	@$(BIN)/python -m pytest -m slow tests/contract/test_site.py # executes the notebooks
	@$(BIN)/python docs/check.py docs/_build/html
	@if command -v chromium > /dev/null; then $(BIN)/python docs/narrow.py docs/_build/html; \
	    else echo "there is no Chromium: widths on a phone were not measured"; fi
	@echo "docs/_build/html/index.html"

bench: $(MARKER)  ## measure speed and memory against their targets (some five minutes)
	@$(BIN)/python -m benchmarks

paper: $(MARKER)  ## build the paper from the committed results into paper/build (the PDF needs LaTeX)
	@$(BIN)/python -m paper build

paper-quick: $(MARKER)  ## run all studies of the paper in quick form (15 minutes on 2 cores) and build from them
	@$(BIN)/python -m paper run --quick $(RUN)
	@$(BIN)/python -m paper build --partial --results results/paper-quick/digests --output results/paper-quick/build

paper-full: $(MARKER)  ## run all studies of the paper in full (hours; goes on where it was; RUN='--executor dask')
	@$(BIN)/python -m paper run $(RUN)
	@$(BIN)/python -m paper build --results results/paper/digests --output results/paper/build

paper-verify: $(MARKER)  ## hold the results of paper-full, or else of paper-quick, against the committed ones
	@$(BIN)/python -m paper verify

clean:  ## remove caches and build products; .venv stays
	@rm -rf build dist paper/build docs/_build docs/gallery docs/reference/generated docs/reference/backreferences *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache demo-output
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
