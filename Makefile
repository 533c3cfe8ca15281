# Two commands do everything: `make devnet` and `make test`. `make help` lists the rest.

.PHONY: help deps build devnet test lint bench bench-report bench-compare clean-devnet
.DEFAULT_GOAL := help

# Folder of the local network, and milliseconds of its slots.
DEVNET ?= devnet
SLOT_MS ?= 500
LAMELLA := target/release/lamella

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install what is missing from the system (libclang for bindgen), or say what to install
	@sh .ci/deps

build: deps ## Build the node, optimised
	cargo build --release -p lamella

devnet: build ## Run a local network of one node with four validators; Ctrl-C stops it
	@# An existing network goes on: the node resumes from what it stored.
	@# The shell becomes the node (exec), so a signal to make reaches it and no process is left.
	@if [ -e "$(DEVNET)/config.yaml" ]; then \
		echo "going on with the network in $(DEVNET); make clean-devnet deletes it, then this makes a new one"; \
	elif ! $(LAMELLA) genesis --nodes 1 --validators 4 --out "$(DEVNET)"; then \
		echo "if all of $(DEVNET) is from an earlier run, make clean-devnet deletes it" >&2; exit 1; \
	fi
	@echo "its keys sign 4096 slots: at $(SLOT_MS) ms a slot, until $$((4096 * $(SLOT_MS) / 60000)) min after its genesis"
	@echo "look inside while it runs: $(LAMELLA) db info --data-dir $(DEVNET)/data/lamella_0"
	@exec $(LAMELLA) node --network-dir "$(DEVNET)" --node-id lamella_0 --data-dir "$(DEVNET)/data/lamella_0" --slot-ms $(SLOT_MS)

clean-devnet: ## Delete the local network
	rm -rf "$(DEVNET)"

test: deps ## Run every test, official vectors included
	cargo test --workspace --doc
	cargo test --workspace --lib --bins --tests

lint: deps ## Check formatting, lints and documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

bench: deps ## Run the benchmarks
	cargo bench -p lamella-benches

bench-report: deps ## Run the benchmarks and write docs/benchmarks.md with its plots
	@# From nothing, so that no figure of an earlier run stands in for one that was not measured.
	rm -rf target/criterion target/figures
	cargo bench -p lamella-benches
	cargo run --release -p lamella-benches --bin bench-report

# RocksDB is linked where the system has it, never built: Debian's librocksdb-dev.
ROCKSDB_HEADER := /usr/include/rocksdb/c.h
ROCKSDB_LIB_DIR ?= $(dir $(firstword $(wildcard /usr/lib/*/librocksdb.so /usr/lib/librocksdb.so)))

bench-compare: deps ## Run the same rows through redb and, if installed, RocksDB
	@if [ -e $(ROCKSDB_HEADER) ] && [ -n "$(ROCKSDB_LIB_DIR)" ]; then \
		export ROCKSDB_LIB_DIR="$(ROCKSDB_LIB_DIR)" ROCKSDB_INCLUDE_DIR=/usr/include; features=rocksdb; \
	else \
		echo "RocksDB is left out: no librocksdb (Debian: apt install librocksdb-dev)"; \
	fi; \
	cargo run --release --manifest-path benches/compare/Cargo.toml --features "$${features:-}"
