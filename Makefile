# A convenience: the README shows the plain pip lines that these targets run.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check format docs wheel clean

demo: .venv/installed
	rm -rf demo
	$(BIN)/ulna demo --out demo
	@echo
	@echo "ulna is installed in $(BIN): type 'source $(BIN)/activate' once, and then the commands above."

test: check
	$(BIN)/python -m pytest -n 2

check: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The variable silences a notice of the theme about its successor, which is no warning about these pages.
docs: .venv/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: .venv/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

wheel: .venv/installed-dev
	$(BIN)/python release/try_wheel.py

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt torch==2.13.0 -e .
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt torch==2.13.0 -e ".[dev]"
	touch $@

.venv/installed-docs: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt torch==2.13.0 -e ".[docs]"
	touch $@

clean:
	rm -rf .venv demo dist site
