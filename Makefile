# make demo, make test: nothing is needed but python3, make and a package index.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= 2

.PHONY: help demo test test-all lint types docs linkcheck bench clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(BIN)/python:
	@echo "== making the environment $(VENV)"
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 15); sys.exit(0 if ok else "Python 3.11 to 3.14 is needed, this is " + sys.version.split()[0] + "; choose one with: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "python3 cannot make an environment: on Debian and Ubuntu, install python3-venv first." >&2; exit 1; }

$(VENV)/.base: pyproject.toml | $(BIN)/python
	@echo "== installing adverscarial"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# torch comes first and pinned: left to the other packages, its largest build would be taken
$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "== installing adverscarial with everything that its tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.base

demo: $(VENV)/.base ## run the main job on real cells; writes demo/report.html
	@echo "== adverscarial demo"
	@rm -rf demo
	@$(BIN)/adverscarial demo --out demo

test: $(VENV)/.dev ## run the tests, but for the slow ones
	@echo "== tests"
	@$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadscope -m "not slow"

test-all: $(VENV)/.dev ## run all tests, the slow ones too
	@echo "== all tests"
	@$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadscope

lint: $(VENV)/.dev ## check style
	@echo "== lint"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.dev ## check types
	@echo "== types"
	@$(BIN)/mypy

docs: $(VENV)/.dev ## build the documentation into docs/_build/html; a warning is an error
	@echo "== docs"
	@rm -rf docs/api
	@$(BIN)/python -m sphinx -q -W --keep-going -j $(JOBS) docs docs/_build/html

linkcheck: $(VENV)/.dev ## open every link of the documentation to another place; needs a network
	@echo "== links"
	@$(BIN)/python -m sphinx -q -b linkcheck -D nb_execution_mode=off \
		-D suppress_warnings=myst-nb.lexer,sphinx_autodoc_typehints.forward_reference docs docs/_build/linkcheck

bench: $(VENV)/.dev ## run the benchmarks; prints a table and saves it
	@$(BIN)/python benchmarks/run.py

clean: ## remove the environment and what demo and docs wrote
	rm -rf $(VENV) demo docs/_build docs/api
