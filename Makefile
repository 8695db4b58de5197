# `make` lists the targets. Everything runs from the TypeScript source with the Node that the lockfile brings.

export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
# Node keeps what it has compiled: a level starts in a third of the time.
export NODE_COMPILE_CACHE := $(CURDIR)/node_modules/.cache/compiled
run = node --conditions=source

.DEFAULT_GOAL := help
.PHONY: help setup build plugin cli test check lint types unit contract conformance interop sim sim-long hostile hunt netns kernels e2e e2e-all soak \
	demo bench bench-scale mutants api-docs fmt clean ci root

help: ## list the targets; `make unit`, `contract`, `conformance`, `interop` and `types` run one level of test
	@sed -n 's/^\([a-z0-9 -]*\):.*## /  \1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; \
		do printf '%-14s %s\n' "$$name" "$$text"; done

setup: ## install what is missing: Debian packages (as root), npm packages of the lockfile
	@sh test/support/setup.sh

root:
	@[ "$$(id -u)" = 0 ] || { echo 'make $(MAKECMDGOALS) makes network namespaces and mounts: run it as root' >&2; exit 1; }

plugin: setup ## build/plugin, what `docker plugin create` takes (DOCKER=1: with plugin/Dockerfile)
	@$(run) plugin/build.ts $(if $(DOCKER),--docker)

build: plugin cli

cli: setup ## build/cli/docker-ts-overlay, the command line as one file: `docker tsoverlay …`
	@$(run) plugin/build-cli.ts

check: setup ## lint, types, unit and contract tests side by side; no root, under a minute
	@$(run) test/support/run-levels.ts check

test: setup ## every level of test, side by side; ends with `N passed, N failed`
	@$(run) test/support/run-levels.ts

lint: setup ## oxlint with type-aware rules, prettier, types
	@$(run) test/support/run-levels.ts lint types

types unit contract conformance interop: setup
	@$(run) test/support/run-levels.ts $@

sim: setup ## simulations of many members in virtual time
	@$(run) test/support/run-levels.ts simulation

hostile: setup ## strangers and members that misbehave, against the gossip of whole members
	@$(run) test/support/run-levels.ts hostile

sim-long: setup ## the same with the sizes and numbers of seeds that figures are made with; hours
	@SIM_LONG=1 $(run) test/support/run-levels.ts simulation

hunt: setup ## new seeds for the simulations and properties, which otherwise draw the same numbers; MINUTES=10
	@MINUTES=$(MINUTES) $(run) test/support/hunt.ts

netns: setup ## against the kernel, with network namespaces as hosts (root)
	@$(run) test/support/run-levels.ts netns

kernels: plugin ## on a stock Debian kernel in a virtual machine (root); KERNEL=6.1, FILES=test/netns/pins.test.ts
	@KERNEL='$(or $(KERNEL),6.1)' FILES='$(FILES)' $(run) test/support/run-levels.ts kernels

e2e: setup ## real Docker Engines on this machine (root); ENGINE=28.5, 26.1, 20.10 or mixed
	@ENGINE=$(ENGINE) $(run) test/support/run-levels.ts e2e

e2e-all: setup ## the same with each engine in turn, and with all three in one cluster
	@for engine in 28.5 26.1 20.10 mixed; do ENGINE=$$engine $(run) test/support/run-levels.ts e2e || exit 1; done

soak: root setup ## three hosts, containers, and all that can die, at random (root); MINUTES=10, SEED=…, ENGINE=…
	@MINUTES=$(MINUTES) SEED=$(SEED) ENGINE=$(ENGINE) $(run) test/soak/soak.ts

demo: root setup ## two Docker hosts on this machine, a network across, a drawing of it (root); KEEP=1 leaves it running
	@KEEP=$(KEEP) $(run) test/support/demo.ts

bench-scale: setup ## what agreement costs at 5, 100 and 1,000 members, in virtual time
	@$(run) bench/scale.ts

mutants: setup ## break Raft in one way at a time: its tests have to find each; SEEDS=300
	@SEEDS=$(SEEDS) $(run) test/mutants/run.ts

bench: root setup ## measure what docs/benchmarks.md shows, against its bars, with the trend (root); ONLY=start,burst
	@ONLY='$(ONLY)' $(run) bench/run.ts

api-docs: setup ## the API of memberlist-js as pages, from its doc comments: build/memberlist-js-api
	@cd packages/memberlist-js/api-docs && npm ci --ignore-scripts --loglevel=error && node_modules/.bin/typedoc

fmt: setup ## format everything
	@npm run --silent fmt

clean: ## remove builds, and labs that a crashed or kept run left
	@[ ! -x node_modules/.bin/node ] || $(run) test/support/lab/clean.ts
	@rm -rf build coverage

ci: test ## what .ci/run calls
