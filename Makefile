# One command for each wish. CI runs the same ones.
.PHONY: all deps build demo test unit scenarios bench fuzz lint docs clean

SHELL := /bin/bash
CARGO ?= cargo

all: build

# System packages: nftables and the peers that the tests speak to. Prints what it installs.
deps:
	@topology-tests/install.sh

build:
	$(CARGO) build --workspace --locked

# Three nodes become one container network; needs root for network namespaces.
demo: deps
	$(CARGO) build --locked --bins
	$(CARGO) run --locked --quiet --bin lab -- demo

# Everything: unit tests, property tests, a smoke run of each fuzz target (seconds), and scenarios
# with real kernels and peers. Needs root.
test: deps
	$(CARGO) build --workspace --locked
	$(CARGO) test --workspace --locked --no-fail-fast
	cd topology-tests/fuzz && $(CARGO) test --lib --locked --target-dir $(CURDIR)/target/fuzz

# What needs neither root nor peers.
unit:
	$(CARGO) test --locked -p net -p bgp -p rib -p api -p routectl

scenarios: deps
	$(CARGO) build --locked --bins
	$(CARGO) test --locked -p lab

# Beside the peers, in one run: ratios count. Three quarters of an hour; BENCH="fib peers --quick --runs 1"
# is one of minutes. The tables of docs/benchmarks.md are written anew, each when its row is done.
BENCH ?= --write docs/benchmarks.md
bench: deps
	$(CARGO) bench --locked -p bgp
	$(CARGO) build --release --locked --bins
	target/release/lab bench-rip
	target/release/lab bench-bfd
	target/release/lab bench $(BENCH)

# Long fuzzing; needs cargo-fuzz (`cargo install cargo-fuzz --locked`). Without a sanitizer libFuzzer
# wants nothing of the compiler that is not stable, and there is no unsafe code here for one to watch:
# what is looked for are panics, overflows (-a) and properties that do not hold.
FUZZ_SECONDS ?= 300
fuzz:
	cd topology-tests/fuzz && for target in $$($(CARGO) fuzz list); do \
	    $(CARGO) fuzz run --sanitizer none -a $$target -- -max_total_time=$(FUZZ_SECONDS) || exit 1; done

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

clean:
	$(CARGO) clean
