PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test torture clean

demo: $(VENV)/.installed
	$(BIN)/fsgan-bench run --methods all --target sketches

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile

# Kills and resumes, at least 200 times; half an hour at most.
torture: $(VENV)/.installed
	$(BIN)/python tests/torture.py --trials 210 --minutes 30

# Results are kept.
clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
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
