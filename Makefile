# make run: everything from nothing to the catalog. make test: the same set-up, then the tests. make help: the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
CORES ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
TARGETS ?=
CONFIG ?=

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# make setup GPU=1 takes TensorFlow with CUDA's libraries, for a machine with NVIDIA GPUs.
REQUIREMENTS := requirements/$(if $(GPU),gpu,dev).txt

# The first Python of a supported version that really runs; PYTHON=... overrides it.
PYTHON ?= $(shell for p in python3 python python3.12 python3.13 python3.11; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 && { echo $$p; break; }; done)

.venv/.ready: $(REQUIREMENTS) requirements/nodeps.txt
	@[ -n "$(PYTHON)" ] || { echo "error: no Python 3.11, 3.12 or 3.13 found; install one or give PYTHON=/path/to/python3" >&2; exit 1; }
	@if command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; then \
	  echo "setting up .venv with uv"; \
	  uv venv --quiet --allow-existing --no-project --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv; \
	  uv pip install --quiet --python .venv/bin/python --require-hashes -r $(REQUIREMENTS); \
	  uv pip install --quiet --python .venv/bin/python --require-hashes --no-deps -r requirements/nodeps.txt; \
	else \
	  echo "setting up .venv with pip"; \
	  $(PYTHON) -m venv .venv; \
	  $(BIN)/python -m pip install --quiet --require-hashes -r $(REQUIREMENTS); \
	  $(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/nodeps.txt; \
	fi
	@touch $@

setup: .venv/.ready  ## make .venv from the pinned requirements (GPU=1: with CUDA)

run: setup  ## everything, then the report (CORES=N, CONFIG="file.yaml ...", TARGETS="...")
	$(BIN)/snakemake --cores $(CORES) $(if $(CONFIG),--configfile $(CONFIG)) $(if $(TARGETS),-- $(TARGETS))
	$(if $(TARGETS),,$(MAKE) --no-print-directory report)

plan: setup  ## what a run would do, why, and what it will cost (CONFIG, TARGETS and CORES as for run, or PROFILE=...)
	@$(BIN)/python scripts/plan_run.py $(if $(PROFILE),--profile $(PROFILE),--cores $(CORES)) $(if $(CONFIG),--configfile $(CONFIG)) $(if $(TARGETS),-- $(TARGETS))

report: setup  ## results/report.zip (CONFIG as for run)
	@$(BIN)/python scripts/write_report.py $(if $(CONFIG),--configfile $(CONFIG))

test: setup  ## the tests
	$(BIN)/python -m pytest --numprocesses $(CORES) --maxprocesses 8 --dist loadscope --no-loadscope-reorder --durations 20 -m "not services and not slurm and not environments"

test-envs: setup  ## every step in its own environment, built from PyPI (20 minutes)
	$(BIN)/python -m pytest -m environments

test-services: setup  ## the ALMA query against a real TAP server on loopback (needs Debian and root; installs packages)
	$(BIN)/python -m pytest -m services

test-slurm: setup  ## the workflow on a real Slurm on loopback (needs Debian and root; installs packages)
	$(BIN)/python -m pytest -m slurm

lint: setup  ## format and lint, as the tests check them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile rules workflow/Snakefile
	$(BIN)/snakemake --lint

docs: setup  ## docs/configuration.md from the schema, docs/catalog.md from the columns
	$(BIN)/python scripts/document_config.py
	$(BIN)/python scripts/document_catalog.py

# Each case with the seed by whose test set nothing was chosen. One core where jobs write to docs/scores.md.
publish: setup  ## the standard run, and its scores and figures into docs/scores.md and docs/measured
	$(BIN)/snakemake --cores $(CORES) --configfile config/presets/standard.yaml --config 'run={cases: [disk_winds, cherenkov]}' -- all results/standard/cherenkov/peers.csv
	$(BIN)/snakemake --cores 1 --configfile config/presets/standard.yaml --config 'run={cases: [disk_winds, cherenkov]}' --forcerun publish_results -- docs/measured/disk_winds.md docs/measured/cherenkov.md
	$(BIN)/snakemake --cores $(CORES) --configfile config/presets/standard.yaml --config 'run={cases: [alma_cubes], seed: 2028}' --forcerun publish_results -- all docs/measured/alma_cubes.md
	$(BIN)/snakemake --cores $(CORES) --configfile config/presets/standard.yaml --config 'run={cases: [fermi_sources]}' --forcerun publish_results -- all docs/measured/fermi_sources.md
	$(BIN)/snakemake --cores $(CORES) --configfile config/presets/standard.yaml --config 'run={cases: [diffuse_radio]}' --forcerun publish_results -- all docs/measured/diffuse_radio.md

rulegraph: setup  ## images/rulegraph.svg (needs Graphviz)
	@command -v dot >/dev/null || { echo "error: no dot found; install Graphviz" >&2; exit 1; }
	$(BIN)/snakemake --rulegraph dot 2>/dev/null | dot -Tsvg > images/.rulegraph.svg
	mv images/.rulegraph.svg images/rulegraph.svg

lock:  ## requirements/*.txt from requirements/*.in (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header requirements/run.in -o requirements/run.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header requirements/dev.in -c requirements/run.txt -o requirements/dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header requirements/gpu.in -c requirements/run.txt -o requirements/gpu.txt
	uv pip compile --quiet --universal --python-version 3.11 --no-deps --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header requirements/nodeps.in -o requirements/nodeps.txt

clean:  ## remove results and logs of every run
	rm -rf results logs .snakemake

.PHONY: help setup run plan report test test-envs test-services test-slurm lint docs publish rulegraph lock clean
