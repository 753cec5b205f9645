# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SQL := collector/ledger
TOOLS := .venv-tools
VALIDATOR := .venv-focus
PYTHON312 ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.12.*/bin/python) python3.12)

.PHONY: demo test test-tools torch-cpu check bench focus-validator lock image-requirements format help clean

help: ## show what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gpuledger needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## a simulated fleet (or this machine's GPUs): 30 days of history, then live, with its pages
	$(BIN)/gpuledger demo $(DEMO)

test: $(STAMP) ## all tests
	$(BIN)/python -m pytest -n 2 --dist worksteal $(TESTS)

$(TOOLS)/.installed: requirements/tools.txt
	test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/tools.txt
	@touch $@

test-tools: $(STAMP) $(TOOLS)/.installed ## who holds a device, told of processes that real MLOps tools start
	GPULEDGER_TOOLS=$(CURDIR)/$(TOOLS) $(BIN)/python -m pytest tests/tools $(TESTS)

torch-cpu: $(TOOLS)/.installed ## PyTorch for the test with torchrun, from a folder that PIP_FIND_LINKS names
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps --require-hashes -r requirements/torch-cpu.txt

check: $(STAMP) ## format, lint, types, imports, SQL
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint --processes 2 $(SQL)

bench: $(STAMP) ## every figure the README quotes, as ratios to a baseline in the same run; BENCH_GPUS=10000 for that size
	BENCH_GPUS=$(BENCH_GPUS) $(BIN)/python -m benchmarks $(BENCH)

format: $(STAMP) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

focus-validator: $(VALIDATOR)/.installed ## what checks FOCUS 1.2 exports in tests (needs Python 3.12: make PYTHON312=...)

$(VALIDATOR)/.installed: requirements/focus-validator.txt
	test -x $(VALIDATOR)/bin/python || $(PYTHON312) -m venv $(VALIDATOR)
	$(VALIDATOR)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

lock: ## pin requirements/dev.txt again from pyproject.toml (needs uv)
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  --all-extras --group dev --python-version 3.11 --output-file requirements/dev.txt pyproject.toml
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  --python-version 3.11 --output-file requirements/tools.txt requirements/tools.in
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  --python-version 3.12 --output-file requirements/focus-validator.txt requirements/focus-validator.in

image-requirements: $(STAMP) ## cut what each image installs out of requirements/dev.txt; after `make lock`
	$(BIN)/python deploy/docker/pins.py

clean: ## remove the environment and the demo's data
	rm -rf $(VENV) $(TOOLS) $(VALIDATOR) demo-data
