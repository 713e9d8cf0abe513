# The recipes that people and CI run. `make help` lists them.

.DEFAULT_GOAL := help
CARGO ?= cargo
export OTTO_HANDLER_BIN := $(CURDIR)/target/debug/otto-handler

.PHONY: help
help: ## List the recipes
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: demo
demo: ## Serve with a simulated ottoscaler and print a link that signs the browser in
	$(CARGO) run --locked -- demo

.PHONY: test
test: setup fmt lint doc unit browser interop docker ## All of the recipes down to docker; installs what is missing

.PHONY: setup
setup: ## Install what the tests need, where it is missing and can be had
	scripts/setup.sh

.PHONY: fmt
fmt: ## Check the format
	$(CARGO) fmt --check

# Lints link nothing, so neither libFuzzer nor a second jemalloc (for which any file will do) is built: that takes two minutes.
LINT_FUZZ := JEMALLOC_OVERRIDE=$(CURDIR)/Makefile

.PHONY: lint
lint: deny ## Lint the product, benches/ and fuzz/, warnings are errors; deny
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --target-dir target --manifest-path benches/Cargo.toml -- -D warnings
	$(LINT_FUZZ) $(CARGO) clippy --locked --target-dir target --manifest-path fuzz/Cargo.toml --no-default-features -- -D warnings

.PHONY: deny
deny: ## Check licences, sources, duplicates and advisories of the dependencies
	scripts/check-dependencies.sh

.PHONY: doc
doc: ## Build the documentation, warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

.PHONY: unit
unit: ## Unit and integration tests
	$(CARGO) test --locked

.PHONY: build
build:
	$(CARGO) test --locked --no-run # with the features that the tests use, so that it is built only once

.PHONY: browser
browser: build ## The viewer in a headless Chromium
	cd tests/browser && npm test

.PHONY: interop
interop: build ## Clients in other languages against the real server; proxies before it; Prometheus
	tests/interop/run
	tests/interop/proxies/run
	tests/interop/openapi/run
	tests/interop/prometheus/run

.PHONY: dist
dist: ## The release build, stripped, in dist/ with an SBOM and SHA256SUMS; takes some three minutes
	$(CARGO) build --locked --release --bin otto-handler
	scripts/dist.sh

.PHONY: docker
docker: ## Check the Dockerfile, as far as that needs no container engine
	scripts/setup-linters.sh
	scripts/check-dockerfile.sh

.PHONY: bench
bench: ## Measure against baselines, in interleaved rounds; writes docs/benchmarks.md
	benches/run

.PHONY: interleavings
interleavings: ## The hub and the store under a scheduler that tries many interleavings; not in test
	tests/interleavings/run

SOAK_MINUTES ?= 15
SOAK_SEED ?= $(shell date +%s)

.PHONY: soak
soak: ## Kill a server every few seconds for SOAK_MINUTES (15) and check that it keeps its word
	$(CARGO) build --locked --release
	target/release/otto-handler verify --duration $(SOAK_MINUTES)m --seed $(SOAK_SEED) \
		--producers 12 --viewers 12 --rate 150 --fault-every 8s --progress 60s --patience 2m \
		--faults kill,kill-start,kill-roll,kill-shutdown,kill-retention,term,stop,cut,reset,stall,slow-viewers,stopped-viewers

.PHONY: fuzz
fuzz: ## Fuzz the entry decoder for FUZZ_SECONDS (630), with a nightly toolchain; not part of test
	fuzz/run

.PHONY: clean
clean: ## Remove what was built and installed here
	rm -rf target dist .tools fuzz/target tests/browser/node_modules tests/interop/node/node_modules
