# Entry points for people and CI: `make help`. Root on Debian 12 or newer with python3 is all that they need.
PYTHON  ?= python3
BIN     := .venv/bin
SOCKET  := /var/run/pydock.sock
LOG     := /var/log/pydockd.log
ORACLE  ?= unix:///var/run/docker.sock
PYDOCK  := $(BIN)/pydock -H unix://$(SOCKET)
JOBS    ?= 2
FOLDERS := shared runtime daemon client tests
export PATH := $(CURDIR)/.venv/tools/usr/bin:$(PATH)

.PHONY: help demo check format test e2e e2e-oracle build-oracle debian-oracle fuzz crash bench all packages clean
help: ## what can be made (this list)
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/installed packages ## start pydockd if none runs, make busybox:latest, run a container
	@$(PYDOCK) version >/dev/null 2>&1 || { \
	  echo "pydockd: starting on $(SOCKET), data in /var/lib/pydock, log in $(LOG)"; \
	  setsid $(BIN)/pydockd >>$(LOG) 2>&1 </dev/null & \
	  for _ in $$(seq 100); do $(PYDOCK) version >/dev/null 2>&1 && break; sleep 0.1; done; }
	@$(PYDOCK) version >/dev/null || { tail -n 5 $(LOG); exit 1; }
	@$(PYDOCK) image inspect busybox >/dev/null 2>&1 || { \
	  base=$$(mktemp -d) && $(BIN)/python -m pydock_daemon.images.base $$base/busybox.tar && \
	  $(PYDOCK) load --input $$base/busybox.tar; status=$$?; rm -r $$base; exit $$status; }
	$(PYDOCK) run --rm --hostname first-container busybox sh -c \
	  'echo "hostname $$(hostname), pid $$$$, address $$(hostname -i)"; ps'

check: .venv/dev ## format, lint, types, layers
	$(BIN)/ruff format --check $(FOLDERS)
	$(BIN)/ruff check $(FOLDERS)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev ## rewrite the code as `check` wants it
	$(BIN)/ruff format $(FOLDERS)
	$(BIN)/ruff check --fix $(FOLDERS)

test: .venv/dev .venv/tools/ready ## the whole test suite, two files at a time (JOBS)
	$(BIN)/pytest --quiet --numprocesses $(JOBS) --dist loadfile tests

e2e: .venv/dev .venv/tools/ready ## only the tests that drive a whole engine
	$(BIN)/pytest --quiet --numprocesses $(JOBS) --dist loadfile tests/e2e

e2e-oracle: .venv/dev .venv/tools/ready ## the same against a dockerd, to prove the tests: ORACLE=unix:///var/run/docker.sock
	PYDOCK_TEST_HOST=$(ORACLE) $(BIN)/pytest --quiet tests/e2e

fuzz: .venv/dev .venv/tools/ready ## very many requests that make no sense (PYDOCK_FUZZ: so many an operation)
	PYDOCK_FUZZ=$${PYDOCK_FUZZ:-200} $(BIN)/pytest --quiet --timeout 3600 tests/fuzz

SLOW_CLIENT = tests/runtime/supervisor/test_adopt.py::test_a_slow_client_never_has_half_a_frame

crash: .venv/dev .venv/tools/ready ## kill daemon and supervisor two hundred times, crowd them for a minute (PYDOCK_KILLS, PYDOCK_STRESS, PYDOCK_SEED)
	PYDOCK_KILLS=$${PYDOCK_KILLS:-200} PYDOCK_STRESS=$${PYDOCK_STRESS:-60} $(BIN)/pytest --quiet --timeout 3600 tests/crash $(SLOW_CLIENT)

build-oracle: .venv/dev .venv/tools/ready ## build the corpus here and by a dockerd with buildx, compare: ORACLE=unix:///...
	$(BIN)/python -m tests.dockerfiles.oracle $(ORACLE) $(CASES)

debian-oracle: .venv/dev .venv/tools/ready ## the same with what people write, on a Debian with packages from the mirror, PyPI and npm
	$(BIN)/python -m tests.dockerfiles.oracle --debian $(ORACLE) $(CASES)

bench: .venv/dev .venv/tools/ready ## compare with a dockerd (docs/performance.md says how to name one)
	$(BIN)/python -m tests.bench

all: check test ## check and test: what CI runs

packages: ## the Debian packages that pydock needs (packages.txt)
	@.ci/packages run

clean: ## remove what was made in this folder
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@.ci/packages venv
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/pip install -qq --editable .
	@touch $@

.venv/dev: pyproject.toml | .venv/bin/python
	$(BIN)/pip install -qq --editable '.[dev]'
	@touch $@ .venv/installed

.venv/tools/ready: packages.txt | .venv/bin/python
	@.ci/packages run test unpack
	@mkdir -p $(@D) && touch $@
