# Each target does all of its own set-up. `make` alone lists them.
SHELL := /bin/bash
PY := .venv/bin/python
STATE ?= demo-data
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench vendor migration soak lock scaleout-demo demo-programs test-programs
MAKEFLAGS += --jobs=3 # packages, front-end files and programs are fetched side by side

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.venv/run.stamp: requirements.lock pyproject.toml
	@deploy/setup run

.venv/dev.stamp: requirements.lock requirements-dev.lock pyproject.toml
	@deploy/setup dev

static/vendor/manifest.json: package.json package-lock.json hatch_build.py
	@deploy/setup vendor

setup: .venv/dev.stamp static/vendor/manifest.json ## virtual environment and front-end files for developing

vendor: ## fetch the front-end libraries into static/vendor
	@deploy/setup vendor

demo-programs:
	@deploy/setup programs prometheus

test-programs:
	@deploy/setup programs prometheus prometheus-alertmanager postgresql redis-server rabbitmq-server chromium kubernetes-client

demo: .venv/run.stamp static/vendor/manifest.json demo-programs ## run Quarterdeck on the simulated fleet (ARGS="--scenario traffic-surge")
	@exec .venv/bin/quarterdeck demo --state-dir $(STATE) $(ARGS)

scaleout-demo: .venv/dev.stamp static/vendor/manifest.json test-programs ## run the same in its parts, over PostgreSQL and Redis
	@exec $(PY) -m demo.scaleout --state-dir $(STATE)-scaleout $(ARGS)

test: .venv/dev.stamp static/vendor/manifest.json test-programs ## run the tests (ARGS="tests/store -k frames")
	@$(PY) -m pytest -m "not soak" $(or $(ARGS),-n 3 --dist loadfile)

soak: .venv/dev.stamp static/vendor/manifest.json test-programs ## the long form of the suites: seeds, fuzzing, kill points
	@QUARTERDECK_SOAK=1 $(PY) -m pytest --timeout 1800 $(ARGS)

check: .venv/dev.stamp ## formatting, lint, types, layers, templates
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/djlint --quiet --lint templates

bench: .venv/dev.stamp static/vendor/manifest.json ## measure, naive against chosen (ONLY=store SIZE=5000)
	@deploy/setup programs prometheus postgresql
	@$(PY) -m bench

migration: .venv/dev.stamp ## a new empty migration (NAME="add x")
	@deploy/setup migration "$(NAME)"

lock: .venv/dev.stamp ## resolve the dependencies anew into the lock files
	@deploy/setup lock
