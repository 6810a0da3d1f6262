# Two commands do everything on a fresh machine with Python 3.11 and make: `make demo`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COUNT ?=
# One more than there are cores, for a test that waits keeps none busy.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)')
SEED ?=

.PHONY: demo test lint bench faults edits lost-changes kills openapi pictures foreign-emr token-server bulk-client axe lock clean

$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "cm-service needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/cm-service demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n $(WORKERS) --no-loadscope-reorder

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

# Each ends with one line of JSON; see docs/campaigns.md.
faults: $(VENV)/.installed
	$(BIN)/python -m campaigns.faults $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

edits: $(VENV)/.installed
	$(BIN)/python -m campaigns.edits $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

lost-changes: $(VENV)/.installed
	$(BIN)/python -m campaigns.changes $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

# Every point with every EMR; `make test` takes a sample of them.
kills: $(VENV)/.installed
	$(BIN)/python -m pytest tests/flow/test_night_killed.py tests/flow/test_night_killed_anywhere.py --all-points

openapi: $(VENV)/.installed
	$(BIN)/cm-service openapi > openapi/cm_service.json

# Those of docs/care-manager.md: Chromium walks the first path on the synthetic panel.
pictures: $(VENV)/.installed
	$(BIN)/python -m tests.api.first_path

# The FHIR server that the tests run against (Java 17, Maven): 215 MB, once.
foreign-emr: $(VENV)/.installed
	$(BIN)/python -m tests.real.foreign_emr

# The token server that the tests run against, and the OAuth client that comes to ours (Node 20): 4 MB, once.
token-server:
	cd tests/real/oidc && npm ci --ignore-scripts --no-audit --no-fund

# The rules of accessibility that the pages are held to in Chromium: 3 MB, once.
axe:
	cd tests/real/axe && npm ci --ignore-scripts --no-audit --no-fund

# The Bulk Data client that exports from our sandbox in the tests: 90 MB of Python, once.
bulk-client:
	$(PYTHON) -m venv tests/real/bulk_client/.venv
	tests/real/bulk_client/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes \
	  -r tests/real/bulk_client/requirements.txt

# Made anew by a maintainer when pyproject.toml changes; needs `uv` on the PATH. The second file is the
# image's: the same versions without the tools of development.
LOCK = uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11
lock:
	$(LOCK) --extra dev pyproject.toml --output-file requirements.txt
	$(LOCK) --extra build --constraint requirements.txt pyproject.toml --output-file requirements-image.txt

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache artefacts
