# Two commands do everything: `make devnet` and `make test`. `make help` lists the rest.

.PHONY: help deps build devnet test planted torture soak fuzz lint bench bench-report bench-compare publish-check clean-devnet
.DEFAULT_GOAL := help

# The local network: its folder, milliseconds of a slot (4000 unless the network has others), slots to run before it is
# judged (until Ctrl-C if empty), and further flags of `lamella devnet`.
DEVNET ?= devnet
SLOT_MS ?=
SLOTS ?=
DEVNET_FLAGS ?=
# Hours of make torture, and the seed that it begins with.
HOURS ?= 8
SEED ?= 12
# Seconds of each fuzz target: fifteen of them, two at a time, take eight minutes.
FUZZ_SECONDS ?= 60
LAMELLA := target/release/lamella

# What make builds optimised it builds for this machine: signatures are checked in as many lanes as its vector unit has,
# 16 with AVX-512, 8 with AVX2, one without. PORTABLE=1 builds for any machine of the architecture.
NATIVE := $(if $(PORTABLE),,-C target-cpu=native)
RELEASE_CARGO := RUSTFLAGS="$(strip $(NATIVE) $(RUSTFLAGS))" cargo

# Minutes of each half of make soak; SOAK_SEED repeats the order of an earlier one.
SOAK_MINUTES ?= 30
export SOAK_MINUTES SOAK_SEED

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install what is missing from the system (C compiler, libclang for bindgen), or say what to install
	@sh .ci/deps

build: deps ## Build the node, optimised
	$(RELEASE_CARGO) build --release -p lamella

devnet: build ## Run four nodes and watch them until Ctrl-C; SLOTS=30 ends with a verdict, SLOT_MS=500 is faster
	@# The shell becomes the command (exec), so a signal to make reaches it.
	@exec $(LAMELLA) devnet --dir "$(DEVNET)" $(if $(SLOT_MS),--slot-ms $(SLOT_MS)) $(if $(SLOTS),--slots $(SLOTS)) $(DEVNET_FLAGS)

clean-devnet: ## Delete the local network, its keys and its nodes' data
	rm -rf "$(DEVNET)"

test: ## Run every test; official vectors where LEANSPEC_VECTORS names them; wants strace and python3-zstandard too
	@sh .ci/deps test
	@testing/run

planted: ## Plant faults into a copy of the product, and say which law of the simulation finds each
	cargo test -p lamella-testing-sim --test it sow -- --ignored
	cargo test --manifest-path target/planted/Cargo.toml --target-dir target/planted/target -p lamella-testing-sim --test it every_fault -- --ignored --nocapture

torture: ## Ship and restore the longest chain, live through a stall; then for HOURS=8 (or 0.1) judge crash images, kill, simulate networks and archives, and rot a data file; SEED repeats from one on
	@sh .ci/deps test
	$(RELEASE_CARGO) test --release -p lamella-testing-long-chain -p lamella-testing-sizes -- --ignored --nocapture
	HOURS=$(HOURS) SEED=$(SEED) RELEASE_CARGO='$(RELEASE_CARGO)' testing/crash/torture

fuzz: ## Fuzz what reads bytes of peers and disk, FUZZ_SECONDS a target, two at a time; wants a C++ compiler too
	@sh .ci/deps fuzz
	FUZZ_SECONDS=$(FUZZ_SECONDS) testing/fuzz/run

soak: deps ## Attack real nodes for SOAK_MINUTES=30; then run the drills, longer, in random order, for as long
	$(RELEASE_CARGO) test --release -p lamella-testing-devnet --test drills soak_under_attack -- --ignored --nocapture
	$(RELEASE_CARGO) test --release -p lamella-testing-devnet --test drills soak::soak -- --ignored --exact --nocapture

lint: deps ## Check formatting, lints and documentation, also of the node without archives
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p lamella --lib --bins --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

publish-check: deps ## Package and build what is published, in order, as a registry would have it; PUBLISH_FLAGS=--no-verify builds nothing
	cargo publish --workspace --dry-run --locked $(PUBLISH_FLAGS)

bench: deps ## Run the benchmarks
	$(RELEASE_CARGO) bench -p lamella-benches

bench-report: deps ## Run the benchmarks and write docs/benchmarks.md with its plots, and README's figures
	@# From nothing, so that no figure of an earlier run stands in for one that was not measured.
	rm -rf target/criterion target/figures
	$(RELEASE_CARGO) bench -p lamella-benches
	CARGO_TARGET_DIR=target $(RELEASE_CARGO) run --release --manifest-path benches/compare/Cargo.toml -- tree-list
	$(RELEASE_CARGO) run --release -p lamella-benches --bin bench-report

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
