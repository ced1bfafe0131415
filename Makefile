# Everything on a fresh machine with Python 3.11 or newer and make:
#   make demo    the main job on an embedded PostgreSQL; options: make demo DEMO="--count 5"
#   make test    the tests; options: make test PYTEST="-k lookup"
#   make lint    ruff and mypy
#   make clean   removes what the others made here

PYTHON ?= python3
VENV ?= .venv
DEMO ?=
PYTEST ?=
BIN = $(VENV)/bin

.PHONY: demo test lint clean

demo: $(VENV)/installed-demo
	@echo "==> the demo: a real PostgreSQL, made-up candles, 125 fingerprints, one tick a second, a page"
	@$(BIN)/pyupc demo $(DEMO)

test: $(VENV)/installed-test
	@echo "==> the tests, on the first of: PYUPC_TEST_DSN, a Docker daemon, an embedded PostgreSQL"
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST)

lint: $(VENV)/installed-test
	@echo "==> ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "==> mypy --strict"
	@$(BIN)/mypy

$(BIN)/python:
	@echo "==> a virtual environment in $(VENV), from $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "pyupc needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "hint: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }

$(VENV)/installed-%: pyproject.toml | $(BIN)/python
	@echo "==> installing pyupc[$*] into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@

clean:
	@echo "==> removing $(VENV) and caches"
	@rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis
