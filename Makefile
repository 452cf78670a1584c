PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-lowest torture fuzz clean

LOWEST := .venv-lowest
SECONDS := 600

demo: $(VENV)/.installed
	$(BIN)/fsgan-bench run --methods all --target sketches

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

# The lowest versions that pyproject.toml allows; PYTHON is 3.11, for which all of them have wheels.
test-lowest:
	$(PYTHON) -m venv $(LOWEST)
	$(PYTHON) tests/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install -c $(LOWEST)/constraints.txt 'setuptools>=77' -e '.[dev]'
	$(LOWEST)/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder

# Bad input of every kind; then kills and resumes, at least 200 times. Half an hour at most.
torture: $(VENV)/.installed
	$(BIN)/python tests/hostile/bad_input.py
	$(BIN)/python tests/torture.py --trials 210 --minutes 27

# Each reader of files for SECONDS, guided by coverage.
fuzz: $(VENV)/.installed-dev
	$(BIN)/python tests/fuzz/fuzz.py --seconds $(SECONDS)

# Results are kept.
clean:
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
