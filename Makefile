# `make` prints what can be made. Everything runs in .venv, which is made from requirements.lock when need be.

PYTHON ?= python3
BIN := .venv/bin
# Dagster recommends `dg` each time, which would be one more package to install.
QUIETLY := PYTHONWARNINGS=ignore:Function
# Not of the environment, where others put names of machines.
HOST := 127.0.0.1
PORT := 3000
REQUIREMENTS := .venv/.requirements-installed
INSTALLED := .venv/.project-installed

.DEFAULT_GOAL := help
.PHONY: help install demo demo-reset ui only-here free-port test e2e acceptance check audit format lock clean

help: ## Print this list
	@echo "make VERB (PYTHON=python3.12 chooses the interpreter of a new environment)"
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

install: $(INSTALLED) ## Make the environment .venv with everything in it

demo: $(INSTALLED) ## Play a crawler's month on an embedded PostgreSQL and tell what came of it
	@$(BIN)/temporal-pipeline demo

demo-reset: $(INSTALLED) ## Start the demo over: throw away its database and play it again
	@$(BIN)/temporal-pipeline demo --reset

ui: only-here free-port $(INSTALLED) ## Serve Dagster's web interface and daemon on http://127.0.0.1:3000 until Ctrl-C (HOST=, PORT=)
	@# Elsewhere, because it would warn of a dagster.yaml here that is not in DAGSTER_HOME: there is a link to it.
	@cd .venv && exec env $(QUIETLY) bin/temporal-pipeline exec -- \
		dagster dev --host "$(HOST)" --port "$(PORT)" --workspace ../workspace.yaml

only-here:
	@case "$(HOST)" in 127.0.0.1|localhost|::1) exit 0 ;; esac; \
	if [ "$(ANYBODY_MAY_START_RUNS)" = yes ]; then \
		echo "warning: whoever reaches $(HOST):$(PORT) may start and cancel runs: there is no authentication" >&2; \
	else \
		echo "error: not on $(HOST): the web interface has no authentication, whoever reaches it may start runs" >&2; \
		echo "remedy: put a proxy that asks for a password before it (docs/deploy.md), or take that risk by its name:" >&2; \
		echo "        make ui HOST=$(HOST) ANYBODY_MAY_START_RUNS=yes" >&2; exit 5; \
	fi

# A webserver that finds its port taken ends, while its daemon goes on beside that of the other one.
free-port:
	@! $(PYTHON) -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)' "$(HOST)" "$(PORT)" 2>/dev/null || { \
		echo "error: something listens on $(HOST):$(PORT) already, maybe another make ui" >&2; \
		echo "remedy: end it, or take another port: make ui PORT=3001" >&2; exit 5; }

test: $(INSTALLED) ## Run the tests on a PostgreSQL of their own
	@# In the order of names: else files with few tests come last, which are those that take longest.
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

e2e: $(INSTALLED) ## Try the web interface in a headless Chromium; part of test where there is one
	@CHROMIUM_REQUIRED=yes $(BIN)/python -m pytest tests/e2e

acceptance: $(INSTALLED) ## Run every test, slow matrices included, on two versions of PostgreSQL
	@$(BIN)/python -m tests.acceptance -n 2 --dist loadfile

check: $(INSTALLED) ## Lint, check types, load Dagster's definitions, look for known vulnerabilities
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(QUIETLY) $(BIN)/temporal-pipeline exec -- dagster definitions validate --log-level warning
	@$(BIN)/python .ci/audit.py

audit: $(INSTALLED) ## Look for known vulnerabilities in requirements.lock; part of check
	@$(BIN)/python .ci/audit.py

format: $(INSTALLED) ## Format the code
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

lock: $(INSTALLED) ## Resolve requirements.lock anew from pyproject.toml, for every Python that we support
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
		--no-annotate --no-header --quiet --system-certs --output-file requirements.lock

clean: ## Remove the environment and caches; databases stay
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(REQUIREMENTS): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { \
		echo "error: $(PYTHON) is $$( ($(PYTHON) --version || echo not there) 2>&1 | tail -n 1); Python 3.11, 3.12 or 3.13 is needed" >&2; \
		echo "remedy: install one of them and name it: make install PYTHON=python3.12 (or where it is)" >&2; exit 1; }
	@echo "making .venv with $$($(PYTHON) --version), once; its packages take about a minute" >&2
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements.lock
	@touch $@

$(INSTALLED): $(REQUIREMENTS) pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
