SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run demo stack setup setup-dev check test test-fast mutations bench schemas secrets digests lock clean

BIN := .venv/bin
UV ?= $(BIN)/uv
# Each of some hundred processes under test would compile Sealward anew, and each tester all tests.
unexport PYTHONDONTWRITEBYTECODE
# Costly tests try a part of their inputs, in .ci/run all: tests/amounts.py.
LESS = $(if $(SEALWARD_TEST_EVERYTHING),, and not more)
# More processes than cores: a test often waits for a server.
TESTERS ?= $(shell expr $$(nproc) + 1)
PYTEST = $(BIN)/python -m pytest --durations 20
PARALLEL = $(PYTEST) -n $(TESTERS)
# The exit status of tests/unsteady.py: few tests failed, and all of them can be tried again.
TRY_AGAIN = 10
COMPILE = $(UV) pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## start control plane and one node agent at http://127.0.0.1:9362; Ctrl-C ends it
	@exec $(BIN)/python -m sealward run

demo: setup ## a tour of the main job on a sample fleet
	@$(BIN)/python -m sealward demo

stack: setup-dev ## the whole topology on private PostgreSQL and RabbitMQ servers; Ctrl-C ends it
	@exec $(BIN)/python -m stack

setup: ## make .venv with what running needs
	@scripts/setup.sh run

setup-dev: ## make .venv with what developing needs as well
	@scripts/setup.sh dev

check: setup-dev ## lint, formatting, types, import rules
	@echo "== ruff check";  $(BIN)/ruff check .
	@echo "== ruff format"; $(BIN)/ruff format --check .
	@echo "== mypy";        $(BIN)/mypy
	@echo "== imports";     $(BIN)/lint-imports --no-cache --no-logo

test: check ## check, then all tests; those that measure time, or failed beside others, run last and alone
	@failed=0; kept=$$(mktemp); \
	echo "== pytest";        $(PARALLEL) -m "not alone$(LESS)" --keep-failures=$$kept || [ $$? = $(TRY_AGAIN) ] || failed=1; \
	echo "== pytest, alone"; $(PYTEST) -m "alone$(LESS)" --once-more=$$kept || failed=1; \
	rm -f $$kept; exit $$failed

test-fast: setup-dev ## the tests that need no hypervisor, OpenStack, broker or process, and measure no time
	@$(PARALLEL) -m "not alone and not heavy$(LESS)"

mutations: setup-dev ## try each small change of a rule in tests/mutations.py: a test must notice it; ONLY="verdict sign" picks some
	@$(BIN)/python tests/mutate.py $(ONLY)

bench: setup-dev ## run every benchmark and print all figures beside their bounds; ONLY="append relay" picks some
	@$(BIN)/python tests/benchmarks/run.py $(ONLY)

secrets: setup-dev ## write the secrets that compose.yaml needs to secrets/, those that are missing
	@$(BIN)/python -m stack.secrets secrets

schemas: setup-dev ## write what docs take from the code: schemas of all events, the OpenAPI document, tables of settings
	@mkdir -p docs/schemas && rm -f docs/schemas/*.json
	@for topic in $$($(BIN)/python -m sealward schema); do \
		$(BIN)/python -m sealward schema "$$topic" > "docs/schemas/$$topic.json" || exit 1; \
	done
	@$(BIN)/python -m sealward openapi > docs/openapi.json
	@$(BIN)/python -m sealward policy sample > docs/policy.yaml.sample
	@$(BIN)/python -m stack.tables

digests: setup-dev ## pin the images of compose.yaml and Dockerfile by digest; asks the registry
	@$(BIN)/python -m stack.digests

lock: ## pin the newest allowed versions in requirements/
	@test -x "$$(command -v $(UV))" || scripts/setup.sh dev
	$(COMPILE) --group build -o requirements/build.txt
	$(COMPILE) --group keystone -o requirements/keystone.txt
	$(COMPILE) -c requirements/build.txt --all-extras --group dev pyproject.toml -o requirements/dev.txt
	$(COMPILE) -c requirements/build.txt -c requirements/dev.txt --all-extras pyproject.toml -o requirements/run.txt

clean: ## remove .venv and caches; var/ stays
	rm -rf .venv .venv-keystone build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find sealward tests -name __pycache__ -prune -exec rm -rf {} +
