# Thin: each target says which commands it stands for. `make setup` and what needs it work on a bare machine.
VENV := $(or $(CARAVAN_VENV),.venv)
PYTHON_IN_VENV := $(VENV)/bin/python -P
PYTEST := $(PYTHON_IN_VENV) -m pytest
# PYTEST_OPTIONS='-m ""' runs the slow tests too.
PYTEST_OPTIONS ?=
# Where the data sets for tests/real are, if anywhere. Its documentation sites are where Debian's packages put them.
export CARAVAN_REAL_DATA ?= $(CURDIR)/../shared/data
# Where tests/peers puts its servers.
export CARAVAN_PEERS ?= $(CURDIR)/.peers
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

.NOTPARALLEL:
.PHONY: help setup setup-dev demo up down test test-pure test-flows test-real test-browser test-peers test-all lint docs docs-check lock bench ci

help:
	@echo "make setup | demo | up | down | test | test-all | lint | docs | lock | bench | ci"

setup:
	@./caravan setup

setup-dev:
	@./caravan setup --dev

demo:
	@./caravan demo

up:
	@./caravan up

down:
	@./caravan down

test: test-pure test-flows test-real test-browser

# Pure tests share nothing and run in parallel, one more than there are cores, since some wait for a disk or a server;
# Airflow is paid for once, so its tests share one process.
test-pure: setup-dev
	$(PYTEST) -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --dist worksteal $(PYTEST_OPTIONS) tests/unit tests/contracts tests/sql

test-flows: setup-dev
	$(PYTEST) $(PYTEST_OPTIONS) tests/dags tests/flows

test-real: setup-dev
	$(PYTEST) $(PYTEST_OPTIONS) tests/real

test-browser: setup-dev
	@if path=$$(command -v chromium || command -v chromium-browser); then set -x; \
	CARAVAN_CHROMIUM=$$path $(PYTEST) $(PYTEST_OPTIONS) tests/browser; \
	else echo "tests/browser left out: no chromium on PATH"; fi

# Servers from Debian, in a folder (tests/peers). Not part of `make test`: it downloads 110 MB once, and chroot is root's.
test-peers: setup-dev
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then set -x; \
	tests/peers/fetch.sh "$$CARAVAN_PEERS" && $(PYTEST) $(PYTEST_OPTIONS) tests/peers; \
	else echo "tests/peers left out: they take apt-get, and root for chroot"; fi

test-all:
	@.ci/test-all

lint: setup-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(PYTHON_IN_VENV) -m mypy
	$(PYTHON_IN_VENV) -m sqlfluff lint include/sql

docs: setup-dev
	PYTHONPATH=plugins $(PYTHON_IN_VENV) -m caravan.cli.dags_doc

docs-check: setup-dev
	PYTHONPATH=plugins $(PYTHON_IN_VENV) -m caravan.cli.dags_doc --check

bench: setup-dev
	PYTHONPATH=plugins $(PYTHON_IN_VENV) tests/bench/bulk.py
	PYTHONPATH=plugins $(PYTHON_IN_VENV) tests/bench/year.py --file "$$CARAVAN_REAL_DATA/online_retail.parquet"
	PYTHONPATH=plugins $(PYTHON_IN_VENV) tests/bench/kill.py --engine lake --kills 20
	PYTHONPATH=plugins $(PYTHON_IN_VENV) tests/bench/kill.py --engine postgresql --kills 20
	PYTHONPATH=plugins $(PYTHON_IN_VENV) tests/bench/open_seconds.py
	PYTHONPATH=plugins $(PYTHON_IN_VENV) tests/bench/http_orders.py
	PYTHONPATH=plugins $(PYTHON_IN_VENV) tests/bench/site_audit.py
	PYTHONPATH=plugins $(PYTHON_IN_VENV) tests/bench/upkeep.py --loads 1000
	PYTHONPATH=plugins $(PYTHON_IN_VENV) tests/bench/month.py

# After a change of requirements*.in. Needs uv. Keeps every pin that still fits.
lock:
	$(LOCK) requirements.in -o requirements.txt
	$(LOCK) requirements-dev.in -o requirements-dev.txt

ci:
	@.ci/run </dev/null
