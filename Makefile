# Two commands are enough: `make run` and `make test`. `make help` lists the rest.
MODEL ?= base
PORT ?= 8080
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
  $$p -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 13)))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev hook run test test-core test-chaos test-malformed load soak soak-short capacity check format lint types imports models bench bench-streams bench-overload lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.run ## create .venv and install what running needs, from the hash lock

setup-dev: $(VENV)/.dev

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "tritone: needs Python 3.11 or 3.12: install python3.11 with its venv module, or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "tritone: $(PYTHON) has no venv module: on Debian and Ubuntu install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python requirements/run.txt
	@echo "installing Tritone into $(VENV)"
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@echo "installing what development needs into $(VENV)"
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

run: setup ## serve MODEL (base) on PORT (8080) with a real Triton; Ctrl-C ends it
	@exec $(BIN)/tritone up --model $(MODEL) --port $(PORT)

models: setup ## fetch and verify the weights of MODEL: tiny.en base small large-v3-turbo, a hub id, or a folder
	@$(BIN)/tritone fetch $(MODEL)

test: setup-dev ## run every test, against a real Triton with tiny.en
	$(BIN)/tritone fetch tiny.en
	$(BIN)/python -m pytest

test-chaos: setup-dev ## break a real service under load, the model ten times
	TRITONE_CHAOS_KILLS=10 TRITONE_CHAOS_SESSIONS=200 TRITONE_CHAOS_SPEAKERS=500 $(BIN)/python -m pytest tests/chaos -s

test-malformed: setup-dev ## send malformed input, ten times as much as `make test`, drawn at random
	TRITONE_MALFORMED_TIMES=10 $(BIN)/python -m pytest tests/malformed tests/integration/test_malformed.py \
		--hypothesis-profile=default --timeout 1800

check: setup-dev lint types imports test test-core soak-short ## all that must be green before a commit

hook: ## let git call `make check` before each commit
	git config core.hooksPath .githooks

test-core: setup-dev ## the core's own tests, which have to reach every branch of it
	$(BIN)/python -m pytest tests/core --cov=gateway/core --cov-fail-under=100

format: setup-dev ## rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup-dev ## ruff: format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup-dev ## mypy --strict
	$(BIN)/mypy

imports: setup-dev ## import-linter: the direction of the imports
	$(BIN)/lint-imports

bench: setup-dev ## measure throughput, latency and accuracy beside faster-whisper (AUDIO=DIR for a corpus of your own)
	$(BIN)/python -m loadtests.bench $(if $(AUDIO),--audio $(AUDIO)) $(if $(MODEL),--model $(MODEL))

bench-streams: MODEL = tiny.en
bench-streams: setup-dev ## measure live speakers at once, and how many it can take (AUDIO=DIR, MODEL=tiny.en, STREAMS=16)
	$(BIN)/python -m loadtests.streams --search $(if $(AUDIO),--audio $(AUDIO)) --model $(MODEL) $(if $(STREAMS),--streams $(STREAMS))

bench-overload: setup-dev ## measure three times the load, an hour-long upload beside live speech, and slow clients
	$(BIN)/python -m loadtests.overload
	$(BIN)/python -m loadtests.lanes
	$(BIN)/python -m loadtests.slow_clients

load: setup-dev ## let Locust's users call HOST in a SHAPE: steady ramp spike churn chaos (WEB=1 for its page)
	$(BIN)/locust -f loadtests/locustfile.py --host $(or $(HOST),http://127.0.0.1:$(PORT)) --shape $(or $(SHAPE),steady) \
	  --duration-s $(or $(DURATION_S),120) $(if $(WEB),,--headless --only-summary)

soak: setup-dev ## does it leak? DURATION=10m of every user, a kill and a recycle; CONTROLS="sessions futures vad model"
	$(BIN)/python -m loadtests.soak --duration $(or $(DURATION),10m) $(if $(CONTROLS),--controls $(CONTROLS))

soak-short: setup-dev ## the same in three minutes, with one leak that must be found
	$(BIN)/tritone fetch tiny.en
	$(BIN)/python -m loadtests.soak --duration 35s --controls sessions --control-duration 20s

capacity: setup-dev ## live streams and files an hour within the latency limits, and the cost of an idle session
	$(BIN)/python -m loadtests.capacity

lock: setup-dev ## resolve the dependencies again and write the hash locks
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header pyproject.toml requirements/build.in -o requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --group dev pyproject.toml requirements/build.in -c requirements/run.txt -o requirements/dev.txt

clean: ## remove the environment and what tools left; the cache of weights stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage bench-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
