# `make` lists what there is to do.

.DEFAULT_GOAL := help
.PHONY: help quickstart quickstart-live test lint fmt doc bench servers wheel develop develop-node test-node example-node test-python example-python example-axum
SERVERS := cargo run -q -p posada-tests --bin servers --

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-16s %s\n", $$1, $$2 }'

quickstart: ## the main job in one program, in memory: needs cargo and nothing else
	cargo run -q -p posada-examples --bin quickstart

quickstart-live: ## the same program on Postgres and Redis, started for it
	@scripts/install-packages
	$(SERVERS) cargo run -q -p posada-examples --bin quickstart -- live

test: ## everything that CI runs; installs missing servers when run as root on Debian
	@scripts/test

lint: ## formatting and clippy, with warnings as errors
	cargo fmt --all --check
	cargo clippy -q --locked --workspace --all-targets -- -D warnings

fmt: ## formats the sources
	cargo fmt --all

doc: ## the API's documentation, in target/doc
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

bench: ## the benchmarks as ratios, on servers started for them (ROWS=locks for some)
	@scripts/install-packages
	cargo build -q --release -p posada-examples --bin quickstart
	$(SERVERS) cargo bench -q -p posada-tests --bench ratios -- $(ROWS)
	$(SERVERS) scripts/python-bench $(ROWS)

wheel: ## the Python package as users get it, in target/wheels/wheel
	PROFILE=wheel scripts/python-wheel

develop: ## the Python package, quickly built, in a virtual environment under target/
	@scripts/python-wheel

develop-node: ## the Node package, quickly built, in bindings-node/dist
	@scripts/node-build

test-node: develop develop-node ## the tests of the Node package, on servers started for them
	cargo build -q -p posada-tests --bins
	$(SERVERS) scripts/node-tests

example-node: develop-node ## the example service in Node, in memory, on port 8003
	cd examples/node && mkdir -p node_modules && ln -sfn ../../../bindings-node node_modules/posada \
		&& ../../bindings-node/node_modules/.bin/tsc -p tsconfig.json && PORT=8003 node build/src/main.js

test-python: develop ## the tests of the Python package, on servers started for them
	cargo build -q -p posada-tests --bins
	$(SERVERS) scripts/python-tests

example-python: develop ## the example app in Python, in memory, on port 8002
	cd examples/python && $(shell scripts/python-env)/bin/python -m fastapi_app --port 8002

example-axum: ## the example service in Rust with axum, in memory, on port 8002
	cargo run -q -p axum-service

servers: ## a shell with all servers running and their URLs in its environment
	@scripts/install-packages
	$(SERVERS) $${SHELL:-sh}
