# Everything runs in .venv, which `make setup` makes from uv.lock. Only Python 3.11+ and a package registry are needed.
SHELL := /bin/sh
.DEFAULT_GOAL := help

# The first interpreter that really runs and is new enough; `make PYTHON=/path/to/python setup` chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
STAMP := .venv/.setup-complete
ARGS ?=
export NO_MKDOCS_2_WARNING = 1

.PHONY: help setup demo test test-long check bench docs format clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## make .venv and everything else that the other targets need

$(STAMP): pyproject.toml uv.lock tools/setup.py $(wildcard src/deepanalyze/devservices/azurite/package*.json)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: no python3 on the PATH is." >&2; exit 2; }
	$(PYTHON) tools/setup.py

demo: setup ## start PostgreSQL, a blob container and the server, and answer a question (ARGS=--once: then stop)
	$(BIN)/deepanalyze demo $(ARGS)

test: setup ## run the tests
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal -m "not long" $(ARGS)

test-long: setup ## run the tests that are too long for every run
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal -m long --timeout 3600 $(ARGS)

check: setup ## lint, types, import contracts, licences, requirement coverage, generated pages, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_licences.py
	$(BIN)/python tools/check_requirements.py
	$(BIN)/python tools/generate_docs.py --check
	$(BIN)/mkdocs build --strict --quiet --site-dir site

bench: setup ## run the benchmarks (ARGS="postgres" for one of them)
	$(BIN)/python -m benchmarks $(ARGS)

docs: setup ## generate the reference pages and build the documentation into site/
	$(BIN)/python tools/generate_docs.py
	$(BIN)/mkdocs build --strict --site-dir site

format: setup ## put the code into its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what the other targets made here
	rm -rf .venv .tools site .mypy_cache .ruff_cache .pytest_cache .hypothesis test-artifacts
