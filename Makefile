# `make run` and `make test` are all that is needed; each sets up its own environment in .venv.
# Wanted: Python 3.11 or newer and make. Everything else comes from the lock file.

PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $(p))))
BIN := .venv/bin
UV := 0.13.9
# Trust whom the machine trusts, such as a mirror of the package index.
export UV_SYSTEM_CERTS = 1

.PHONY: run test lint bench clean lock

run: .venv/run.stamp
	@$(BIN)/qie run berlin-frankfurt --for 20

test: export OMP_NUM_THREADS = 1
test: lint
	@$(BIN)/python -m pytest -q -n auto

lint: .venv/dev.stamp
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/run.stamp
	@for name in kernel swap chain star metro invariants hosts; do $(BIN)/qie bench $$name || exit 1; done

lock: .venv/uv.stamp
	@$(BIN)/uv lock

clean:
	rm -rf .venv

.venv/uv.stamp:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer found; install one, or name it: make run PYTHON=/path/to/python"; exit 1; }
	@echo "setting up an environment in .venv (once, about 400 MB)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	@touch $@

.venv/run.stamp: .venv/uv.stamp pyproject.toml uv.lock
	@$(BIN)/uv sync --quiet --frozen --inexact --extra hosts --extra campaign
	@touch $@

.venv/dev.stamp: .venv/uv.stamp pyproject.toml uv.lock
	@$(BIN)/uv sync --quiet --frozen --inexact --extra dev
	@touch .venv/run.stamp $@
