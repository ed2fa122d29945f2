# Entrepot's two commands are `make demo` and `make test`; the rest is below. Each target is a script in scripts/
# (or one line), so that it can also be called without make.

PYTHON ?= python3
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help setup assets demo serve test lint format soak bench lock changelog wheel clean

help: ## show this list
	@echo "Entrepot: a self-hosted dataset server. It needs python3 (3.11 or newer) with venv, and make."
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  ENTREPOT_DEMO_EXIT=1 make demo   ends after the demonstration"
	@echo "  make serve DATA=DIR PORT=8080    keeps its state under DIR (default ./.demo/serve)"
	@echo "  make test ARGS='tests/unit -x'   hands arguments to pytest; likewise soak, bench and lock"

setup: ## make .venv with everything, development tools included
	@scripts/setup dev
	@scripts/assets --try

assets: ## bundle what runs in the browser
	@scripts/assets

demo: ## start a server with real data in it and print the address to open
	@scripts/setup demo
	@scripts/assets --try
	@.venv/bin/entrepot demo

DATA ?= .demo/serve
HOST ?= 127.0.0.1
PORT ?= 8080
serve: ## run a server on DATA, HOST and PORT
	@scripts/setup demo
	@scripts/assets --try
	@mkdir -p "$(DATA)"
	@exec .venv/bin/entrepot serve --data "$(DATA)" --host "$(HOST)" --port "$(PORT)"

test: setup ## run the tests (six to fourteen minutes on two cores)
	@scripts/test $(ARGS)

lint: setup ## check style, types and the floors' import rules
	@scripts/lint $(ARGS)

format: setup ## repair the style of everything
	@.venv/bin/ruff check --fix-only --quiet .
	@.venv/bin/ruff format .

soak: setup ## run the long tests: thousands of random operations and kills (hours)
	@ENTREPOT_TEST_PROFILE=$${ENTREPOT_TEST_PROFILE:-soak} .venv/bin/python -m pytest -m soak $(ARGS)

bench: setup ## measure everything in bench/; ARGS=NAME runs one, ARGS=--list names them
	@.venv/bin/python -m bench $(ARGS)

lock: setup ## write requirements/*.lock anew from pyproject.toml
	@scripts/lock $(ARGS)

changelog: ## show the unreleased part of CHANGELOG.md, made from changes/
	@scripts/changelog

wheel: setup ## build the wheel and check that its base install is the client alone
	@scripts/check-wheel

clean: ## remove .venv, caches and what the demonstration left
	rm -rf .venv .env-clients .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist artifacts assets/node_modules assets/.node src/entrepot/web/static/built
	find src tests bench scripts examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
