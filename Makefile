# Everything runs in .venv, made on first use from pyproject.toml and constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= .demo
# Two threads as in the benchmarks; waiting threads sleep, since spinning ones slow a busy machine down many times. What
# measures speed on a quiet machine leaves that to OpenMP: a thread that sleeps is late for the next operation.
export OMP_NUM_THREADS ?= 2
export OMP_WAIT_POLICY ?= passive

.PHONY: help demo test lint format bench study matrix thesis browser docs notebooks release clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || grep '##' $(MAKEFILE_LIST)

demo: .venv/ready  ## Radar frames to a published, searched and verified model: make demo [DATA=folder] [OUT=.demo]
	$(BIN)/python -m modelstac demo $(if $(DATA),--data "$(DATA)") --out "$(OUT)"

# One thread in each process, and three processes, of which one mostly waits; a file's tests stay together, since they
# share servers and models. They start some hundred processes, which need not compile our modules anew.
test: export OMP_NUM_THREADS := 1
test: export PYTHONDONTWRITEBYTECODE :=
test: .venv/ready $(if $(shell command -v npm),.azurite .browser/dist)  ## Run the tests; what they lack is a table at the end
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: .venv/ready  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/ready  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/ready  ## Measure speed against what a user would pick instead (ratios, one run)
	env -u OMP_WAIT_POLICY $(BIN)/python -m benchmarks

study: .venv/ready  ## Train a nowcast, score it on events held out, write docs/results: make study [DATA=folder of events]
	env -u OMP_WAIT_POLICY $(BIN)/python -m benchmarks.study $(if $(DATA),--data "$(DATA)")

thesis: .venv/ready  ## Train as the thesis did, on a smaller grid, write docs/results: make thesis DATA=folder
	$(BIN)/python -m benchmarks.thesis $(if $(DATA),"$(DATA)",$(error say DATA=folder of the 92 radar frames))

matrix: .venv/ready  ## Read and write models in every environment, write docs/results: make matrix DATA=folder
	$(BIN)/python -m benchmarks.versions $(if $(DATA),"$(DATA)",$(error say DATA=folder of the 92 radar frames))

browser:  ## Build STAC Browser (needs Node.js), which modelstac serve then shows at /browser
	deploy/browser/build

release: .venv/ready  ## Build sdist and wheel into dist/ and check both
	PYTHON=$(BIN)/python deploy/release

docs: export NO_MKDOCS_2_WARNING := 1
docs: .venv/ready  ## Build the documentation into site/; a dead link or any warning is an error
	$(BIN)/python -m mkdocs build --strict

notebooks: export MODELSTAC_KEEP_OUTPUTS := 1
notebooks: .venv/ready  ## Run the notebooks anew and keep what they show
	$(BIN)/python -m pytest -q tests/test_notebooks.py

clean:  ## Remove what was made here: .venv, the demo, caches
	rm -rf .venv .demo build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# For the tests, where npm is: no root is asked for.
.azurite:
	npm install --silent --no-audit --no-fund --prefix $@ azurite@3.35.0

.browser/dist: $(wildcard deploy/browser/*)
	deploy/browser/build >/dev/null

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "modelstac needs Python 3.11 or later, $(PYTHON) is $$($(PYTHON) --version); say which: make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
