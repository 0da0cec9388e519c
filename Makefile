# Everything AI Nexus can be asked to do; `make` lists it. Needs Python 3.11 or newer and make, nothing else.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
MODULE := build/ai-nexus.wasm
PLUGINS := ai_nexus_classifier ai_routellm_threshold_tuner ai_cost_optimal_router ai_budget_guard \
  ai_provider_circuit_breaker
EXAMPLES := $(foreach name,add_header rewrite_body rate_limit,examples/$(name)/$(name).py)
DATA ?= ../shared/data

.DEFAULT_GOAL := help
.PHONY: help setup servers build build-higress contents run test test-unit test-module test-conformance test-envoy check format lock bench \
	prove-gateway prove-conformance prove-router prove-budget prove-failover prove-threshold \
	catalog clean

##@ Use

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/ready ## Make the virtual environment, from pinned packages with verified checksums

$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "AI Nexus needs Python 3.11 or newer, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

build: setup ## Build the WebAssembly module, if anything it is made from has changed
	@$(RUN) -m wasmbuild $(PLUGINS) -o $(MODULE)

build-higress: setup ## Build the module for Higress alone, whose budgets can be in a Redis that Higress asks itself
	@$(RUN) -m wasmbuild $(PLUGINS) --host higress -o build/ai-nexus.higress.wasm

contents: build ## Say what is in the module, and what could go
	@$(RUN) -m wasmbuild --contents $(MODULE)

run: build ## Start fake providers and Envoy with the filters (GATEWAY_PORT, ADMIN_PORT, PROVIDERS_PORT, WORKERS)
	@exec $(RUN) -m nexus run

catalog: setup ## Import models and prices (MODELS="gpt-5 anthropic"; without, those that envoy/catalog.yaml has)
	@cd envoy && ../$(RUN) -m nexus catalog $(MODELS)

##@ Prove

test: check test-unit test-module test-conformance test-envoy ## Run everything: checks, units, the module, real Envoy

servers: ## Install redis-server and webdis, which some tests start, from Debian's packages
	@which redis-server webdis >/dev/null \
	|| { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server webdis >/dev/null; } \
	|| { echo "The tests need redis-server and webdis. Install them, as root for example with apt-get." >&2; exit 1; }

test-unit: setup servers ## Run the tests that need neither module nor proxy, in seconds
	$(RUN) -m pytest -n auto tests/aigateway tests/plugins tests/proxywasm tests/nexus tests/routerlab tests/wasmbuild examples

test-module: build ## Run whole builds, the emulator, modules of other SDKs, the examples on three hosts
	@$(RUN) -m wasmbuild $(EXAMPLES) -o build/examples.wasm --cache build/.wasmbuild
	$(RUN) -m pytest examples --hosts wasm,envoy --module build/examples.wasm
	$(RUN) -m pytest tests/build tests/proxytest

test-conformance: build ## Compare the emulator with Envoy: the same scenarios on three hosts
	$(RUN) -m tests.conformance
	$(RUN) -m pytest tests/conformance

test-envoy: build servers ## Run the gateway's tests against a real Envoy
	$(RUN) -m pytest tests/envoy

check: setup ## Check format, lint, types and import contracts
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: build ## Measure what the SDK and the filters cost
	$(RUN) tests/bench/sdk_cost.py
	$(RUN) tests/bench/router_speed.py
	$(RUN) tests/bench/gateway_cost.py

prove-gateway: build ## Show that the gateway answers, stands bad input and load, and what it costs (DATA=path of the data sets)
	$(RUN) tests/prove/gateway.py --data $(DATA)

prove-conformance: build ## Show that the emulator tells the truth
	$(RUN) tests/prove/conformance.py

prove-router: build ## Show that the router keeps to every constraint, and how fast (DATA=path of the data sets)
	$(RUN) tests/prove/router.py --data $(DATA)

prove-budget: build servers ## Show that caps hold to the nano-dollar, with either ledger
	$(RUN) tests/prove/budget.py

prove-failover: build ## Show what faults of providers callers do not see
	$(RUN) tests/prove/failover.py

prove-threshold: build ## Show what scorers and thresholds are worth (DATA=path of the data sets)
	$(RUN) tests/prove/threshold.py --data $(DATA)

##@ Maintain

format: setup ## Put the sources into shape
	$(VENV)/bin/ruff format
	$(VENV)/bin/ruff check --fix

lock: ## Pin the newest packages that pyproject.toml allows (needs uv)
	uv pip compile pyproject.toml --extra build --extra gateway --extra lab --extra test --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --quiet -o requirements.lock

clean: ## Remove what was built, but not the virtual environment
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
