# One definition of each developer command; CI calls the same.
.DEFAULT_GOAL := help
BIN := .venv/bin

##@ Start
.PHONY: help setup demo serve
help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(BIN)/foldline ## make the virtualenv with everything a developer needs
$(BIN)/foldline: pyproject.toml
	python3 -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: setup ## sample customers on an embedded database, and the server
	$(BIN)/foldline demo

serve: setup ## the server on an embedded database
	$(BIN)/foldline serve

##@ Check
.PHONY: check format lint types layers docs test test-fast test-coverage test-nightly test-storage matrix bench
check: format-check lint types layers docs test ## everything that CI checks, but for the older PostgreSQL

format: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: format-check
format-check: setup
	$(BIN)/ruff format --check .

lint: setup ## look for mistakes
	$(BIN)/ruff check .

types: setup ## check types
	$(BIN)/mypy

layers: setup ## check that imports follow the one direction
	$(BIN)/lint-imports

docs: setup ## build the documentation in docs/_build; a warning is an error
	$(BIN)/sphinx-build -W --keep-going --quiet docs docs/_build

test-fast: setup ## run the unit tests and one smoke test of each kind
	$(BIN)/pytest -m '(unit or smoke) and not nightly' --hypothesis-profile fast

test-coverage: setup ## run the fast ring, and print how many lines of the source it runs
	$(BIN)/pytest -m '(unit or smoke) and not nightly' --hypothesis-profile fast -q --cov --cov-report=
	@echo "lines that the fast ring runs: $$($(BIN)/coverage report --format=total) %"

test: setup ## run the merge ring on the embedded PostgreSQL
	$(BIN)/pytest

test-nightly: setup ## run all tests with all examples, on PostgreSQL 18 and 15
	$(BIN)/pytest -m 'not benchmark' --hypothesis-profile nightly
	tests/with_postgresql_15.sh $(BIN)/pytest -m storage --hypothesis-profile nightly

test-storage: setup ## run the storage tests on the server of FOLDLINE_TEST_DSN
	$(BIN)/pytest -m 'storage and not nightly'

matrix: setup ## run the fast ring on each Python that is here, and on the lowest versions
	$(BIN)/python tests/matrix.py

bench: setup ## measure ours against its yardsticks; prints a table, writes bench.json
	$(BIN)/pytest -m benchmark tests/benchmarks -q -s

##@ Release
.PHONY: lock
lock: setup ## pin every dependency with its hashes in requirements.lock
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --quiet --upgrade --output-file requirements.lock
