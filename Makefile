# Everything a person or CI needs; each target sets up what it needs by itself.
PYTHON ?= python3
BIN := .venv/bin

# Compiled files make every start faster; some machines switch them off.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all lint bench lock clean help
help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# --no-compile: of what is installed a fraction is ever imported, and compiled then; all of it takes a minute.
.venv/ready: pyproject.toml requirements/dev.txt
	@echo "setting up .venv"
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# MLflow's own clients, in an environment of their own: the server's tests run them.
.venv-mlflow/ready: requirements/mlflow.txt
	@echo "setting up .venv-mlflow"
	@test -x .venv-mlflow/bin/python || $(PYTHON) -m venv .venv-mlflow
	@.venv-mlflow/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements/mlflow.txt
	@touch $@

demo: .venv/ready ## the whole journey on real data: notebook to project, train, gate, release, replay a year, catch drift, retrain
	@$(BIN)/python examples/flights/journey.py

test: .venv/ready ## the tests, without the slow ones
	@$(BIN)/python -m pytest -n 2 -q -m "not slow"

test-all: .venv/ready .venv-mlflow/ready ## every test
	@$(BIN)/python -m pytest -n 2 -q

lint: .venv/ready ## style, types, the import contract
	@$(BIN)/ruff format --check src tests benchmarks examples
	@$(BIN)/ruff check src tests benchmarks examples
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache

bench: .venv/ready ## measure ourselves beside our peers; writes benchmarks/RESULTS.md
	@$(BIN)/python -m benchmarks

lock: ## compile the hashed requirements again
	@./requirements/compile

clean: ## remove what was built (not your .roadworthy stores)
	rm -rf .venv .venv-mlflow dist build .pytest_cache .mypy_cache .ruff_cache
