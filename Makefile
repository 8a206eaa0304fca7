# What a developer runs. `make help` lists the targets.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

# BEIR folders that `quality` measures, and where their results go.
DATA    ?= ../shared/data
SETS    ?= nfcorpus cranfield nq_wiki_pool
SPLIT   ?= test
RESULTS ?= build/quality
PROFILES ?= bm25 sparse sparse-idf dense hybrid dense-colbert dense-colbert-cross sparse-colbert-cross

# The BEIR folder of the E5 experiment.
E5_DATA ?= $(DATA)/miracl_sw_partial

PINS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo test fuzz fuzz-server check format quality bench report-e5 soak clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' Makefile

setup: $(VENV)/dev.stamp ## the environment of the developer, in .venv

demo: $(VENV)/base.stamp ## index Python's own documentation strings and ask five questions
	$(BIN)/python examples/stdlib/demo.py

test: $(VENV)/dev.stamp ## the test suite
	$(BIN)/python -m pytest $(ARGS)

fuzz: $(VENV)/dev.stamp ## the property tests with ten times the examples, new ones at each run
	HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -m hypothesis $(ARGS)

fuzz-server: $(VENV)/dev.stamp ## random and broken requests to a running server for 10 minutes
	$(BIN)/python -m bench.fuzz_server $(ARGS)

check: $(VENV)/dev.stamp ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev.stamp ## put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

quality: $(VENV)/dev.stamp ## rank the collections in DATA and write docs/quality.md
	mkdir -p $(RESULTS)
	for set in $(SETS); do \
	  $(BIN)/siftline eval examples/beir --data $(DATA)/$$set --split $(SPLIT) \
	    $(PROFILES:%=--profile %) --out $(RESULTS)/$$set --json > $(RESULTS)/$$set.json || exit 1; \
	done
	$(BIN)/python -m siftline.evaluate.report $(SETS:%=$(RESULTS)/%.json) \
	  --published bench/published.json --out docs/quality.md

bench: $(VENV)/dev.stamp ## the speed measurements
	$(BIN)/python -m bench $(ARGS)

report-e5: $(VENV)/dev.stamp ## the E5 experiment through the server on E5_DATA, docs/e5.md
	$(BIN)/python -m bench.e5 --data $(E5_DATA) $(ARGS)

soak: $(VENV)/dev.stamp ## clients feed and ask a server for 10 minutes, docs/soak.png
	$(BIN)/python -m bench.soak $(ARGS)

clean: ## remove the environment and what was built
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache

# The base install is what a user gets; the demo runs on it alone.
$(VENV)/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Siftline needs Python 3.11 or newer; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --upgrade pip
	touch $@

$(VENV)/base.stamp: $(VENV)/venv.stamp $(PINS)
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

# torch stands beside what needs it, so that one resolution decides both.
$(VENV)/dev.stamp: $(VENV)/venv.stamp $(PINS)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev,openvino,plot,server,train]' torch==2.13.0
	touch $(VENV)/base.stamp $@
