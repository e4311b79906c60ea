# Two commands: `make run` shows the main job, `make test` runs every test. Both install what they need, or name it.
# `make test-long` is `make test` with fifty kills under load instead of ten, and goes on where that ends: it fuzzes each target for
# FUZZ_SECONDS, after a build of some minutes.
# `make bench-enumeration` measures what BENCHMARKS.md has.

.PHONY: run test test-long bench bench-enumeration lint web

FUZZ_SECONDS ?= 60

# Browser code, built. npm's own lock file decides when its packages are out of date.
packages := portal/web/node_modules/.package-lock.json
web_sources := $(shell find portal/web -name node_modules -prune -o -name dist -prune -o -type f -print 2>/dev/null)

# The stories start Postfix and PostgreSQL under users of their own, so test programs run as root; what is built isn't.
root := $(if $(filter 0,$(shell id -u)),,sudo -n --preserve-env env PATH=$(PATH))
runner := $(if $(root),--config "target.'cfg(unix)'.runner = '$(root)'")

run: web
	cargo run -- demo

test:
	@deploy/install-debian test
	@$(root) true || { echo "make test needs root, or sudo: it starts Postfix and PostgreSQL under users of their own" >&2; exit 1; }
	@$(MAKE) -s web
	cd portal/web && npm test
	cargo test --workspace --no-fail-fast $(runner)

test-long: export SEALPOST_KILLS = 50
test-long: test
	fuzz/run $(FUZZ_SECONDS)

bench-enumeration: web
	SEALPOST_BENCH_ROUNDS=200 cargo test --test stories $(runner) -- --exact --nocapture accounts::enumeration::answers_look_the_same_with_and_without_an_account

# Beside Postfix, on this machine: BENCHMARKS.md says what is measured. Needs root, as the tests do.
bench:
	@deploy/install-debian test
	@$(MAKE) -s web
	cargo build --release --package sealpost --package sealpost-bench
	$(root) target/release/sealpost-bench target/release/sealpost $(BENCH)

lint: web
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

web:
	@deploy/install-debian build
	@$(MAKE) -s portal/web/dist

$(packages): portal/web/package.json portal/web/package-lock.json
	cd portal/web && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

portal/web/dist: $(packages) $(web_sources)
	cd portal/web && npm run build
	@touch $@
