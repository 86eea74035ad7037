# Two targets do everything on a fresh machine: `make cluster` and `make test`.
# Needed beforehand: Python 3.11+, Go, git, make, apt, root, and the package registries.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TURN   ?= commit

# what the tests install; both are compiled from source where upstream cannot be reached
MINORS := 1.36.3 1.35.4

.PHONY: help setup system parts cluster test check lint types imports unit integration e2e bench lock wheel clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

setup: system $(VENV)/.ready  ## system packages and the virtual environment

system:
	@scripts/system-packages

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q kubeforge  # every start is quicker, also where Python is told to write no bytecode
	@touch $@

cluster: setup  ## the main job: hosts, plan, apply, a page served by a pod
	@scripts/cluster

check: setup lint types imports unit  ## ruff, mypy, import contract, unit tests

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready
	$(BIN)/mypy

imports: $(VENV)/.ready
	$(BIN)/lint-imports

unit: $(VENV)/.ready
	$(BIN)/pytest -n auto tests/unit

parts: setup  ## the parts the tests install: built once, then found in ~/.cache/kubeforge
	$(BIN)/kubeforge artifacts build $(foreach version,$(MINORS),--kubernetes $(version))

integration: parts  ## real sshd, real etcd, real lab hosts
	scripts/lab-tests $(BIN)/pytest tests/integration

e2e: parts  ## real clusters in the lab: every run's and those of a turn; TURN=1 to 9, or all (docs/adr/0067)
	scripts/lab-tests --turn $(TURN) $(BIN)/pytest

test: check integration e2e  ## everything CI runs

bench: setup  ## the figures of docs/performance.md
	$(BIN)/python -m tests.bench

lock: $(VENV)/.ready  ## pin the dependencies anew
	scripts/lock

wheel: $(VENV)/.ready
	$(BIN)/uv build --wheel --out-dir dist

clean:  ## the virtual environment and caches of tools; not the built parts (kubeforge lab down --all ends the labs)
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
