PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := demo
.PHONY: help demo lint types test docs dist architecture test-lowest cluster-test minutes torture fuzz clean

LOWEST := .venv-lowest
SECONDS := 600

help:  ## What make can do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.installed  ## Adapt with every method to one target and draw what came out
	$(BIN)/fsgan-bench run --methods all --target sketches

lint: $(VENV)/.installed-dev  ## Lint, formatting, and which way imports point
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.installed-dev  ## mypy --strict
	$(BIN)/mypy

test: lint types  ## Everything that has to hold before a change is merged
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

docs: $(VENV)/.installed-dev  ## The site, in docs/_build: offline, warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build

dist: $(VENV)/.installed-dev  ## Source distribution and wheel, checked
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

architecture: $(VENV)/.installed-dev  ## Draw docs/architecture.md from the imports again
	$(BIN)/python docs/layers.py

# The lowest versions that pyproject.toml allows; PYTHON is 3.11, for which all of them have wheels.
test-lowest:  ## The tests with the lowest versions allowed
	$(PYTHON) -m venv $(LOWEST)
	$(PYTHON) tests/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install -c $(LOWEST)/constraints.txt 'setuptools>=77' -e '.[dev]'
	$(LOWEST)/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder

# Real engines: a two-node SLURM, which takes root on Debian, and Ray.
cluster-test: $(VENV)/.installed-dev  ## Cells through SLURM and Ray: cancelled, preempted, lost nodes
	tests/cluster/install_slurm.sh
	$(BIN)/python -m pip install -e '.[dev,ray]'
	$(BIN)/pytest -s -m "cluster or not cluster" tests/cluster

minutes: $(VENV)/.installed-dev  ## Tests that are too long for every change
	$(BIN)/pytest -m minutes

# Bad input of every kind; then kills and resumes, at least 200 times. Half an hour at most.
torture: $(VENV)/.installed-dev  ## Bad inputs, kills and resumes
	$(BIN)/python tests/hostile/bad_input.py
	$(BIN)/python -m tests.torture --trials 210 --minutes 27

# Each reader of files for SECONDS, guided by coverage.
fuzz: $(VENV)/.installed-dev  ## Coverage-guided fuzzing of the readers of files
	$(BIN)/python tests/fuzz/fuzz.py --seconds $(SECONDS)

# Results are kept.
clean:  ## Remove environments, caches and build files; results stay
	rm -rf $(VENV) $(LOWEST) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf examples/*/build examples/*/*.egg-info
	find . -name __pycache__ -not -path "./.git/*" -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -e '.[dev]'
	touch $(VENV)/.installed $@
