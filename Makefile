# Everything on a fresh machine with Python 3.11 or newer and make:
#   make demo        the main job on an embedded PostgreSQL; options: make demo DEMO="--count 5"
#   make test        the quick tests; options: make test PYTEST="-k lookup"
#   make test-all    all of them
#   make docs        the manual, into docs/site
#   make lint        ruff and mypy
#   make reference   what follows from the code: sql/README.md, docs/cli.md, docs/settings.md
#   make clean       removes what the others made here

PYTHON ?= python3
VENV ?= .venv
DEMO ?=
PYTEST ?=
BIN = $(VENV)/bin

# Files, not tests, go to the processes: a file's tests share what they set up. Hundreds of tests
# start a Python of their own, which has to find its modules compiled, wherever Python and the
# environment keep or forbid what is compiled otherwise. Many quick tests wait for a command: three
# processes of them keep two cores busy. Slow ones load the machine themselves.
RUN_TESTS = PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CURDIR)/$(VENV)/pycache \
	$(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-all docs lint reference clean

demo: $(VENV)/installed-demo
	@echo "==> the demo: a real PostgreSQL, made-up candles and markets, 125 fingerprints, a tick a second, a page"
	@$(BIN)/pyupc demo $(DEMO)

test: $(VENV)/installed-test
	@echo "==> the quick tests, about 9 minutes on two cores"
	@echo "    on the first of: PYUPC_TEST_DSN, a Docker daemon, an embedded PostgreSQL"
	@echo "    left out, in make test-all: runs that kill servers and fill disks, whole histories, long"
	@echo "    runs of ticks and feeds, thousands of questions to the API"
	@$(RUN_TESTS) -n 3 -m "not slow" $(PYTEST)

test-all: $(VENV)/installed-test
	@echo "==> all tests, half an hour or more on two cores, the slowest files first"
	@echo "    on the first of: PYUPC_TEST_DSN, a Docker daemon, an embedded PostgreSQL"
	@echo "    each command from scratch; the quick tests fork theirs off a Python that has loaded pyupc"
	@PYUPC_TEST_COLD=1 $(RUN_TESTS) -n 2 $(PYTEST)

docs: $(VENV)/installed-docs
	@echo "==> the manual, strictly, into docs/site; to search in it: python3 -m http.server -d docs/site"
	@$(BIN)/zensical build --strict --clean --config-file docs/zensical.toml

lint: $(VENV)/installed-test
	@echo "==> ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "==> mypy --strict"
	@$(BIN)/mypy

reference: $(VENV)/installed-test
	@echo "==> sql/README.md"
	@$(BIN)/python -m tests.docs.sql_reference
	@echo "==> docs/cli.md, docs/settings.md"
	@$(BIN)/python -m tests.docs.reference

$(BIN)/python:
	@echo "==> a virtual environment in $(VENV), from $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "pyupc needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "hint: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }

# The packages of the tests include the others', and the tests compile what they import themselves.
$(VENV)/installed-test: INCLUDED = $(VENV)/installed-docs $(VENV)/installed-demo
$(VENV)/installed-test: UNCOMPILED = --no-compile

$(VENV)/installed-%: pyproject.toml | $(BIN)/python
	@echo "==> installing pyupc[$*] into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]" $(UNCOMPILED)
	@touch $@ $(INCLUDED)

clean:
	@echo "==> removing $(VENV) and caches"
	@rm -rf $(VENV) dist build docs/site docs/.cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis
