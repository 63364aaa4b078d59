# probity: see README.md. Every target works on a fresh clone with Go, gcc, make and git.

TAGS    := sqlite_omit_load_extension sqlite_foreign_keys sqlite_secure_delete sqlite_app_armor
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION)
GO      := go
GOTEST  := $(GO) test -tags '$(TAGS)'
TOOLS   := .ci/tools/bin
BENCH   ?= .
FUZZTIME ?= 30s
SIZE    ?= 1G
FLAGS   ?=
NAME    ?=

.PHONY: help
help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Build, scan a simulated hospital on loopback, write demo/evidence.db and demo/report.html
	@scripts/demo.sh

.PHONY: test
test: ## Install the peers that tests need and run everything that CI runs
	@scripts/peers.sh install
	@$(MAKE) check

.PHONY: build
build: ## Build bin/probity
	@$(GO) build -trimpath -tags '$(TAGS)' -ldflags '$(LDFLAGS)' -o bin/probity ./cmd/probity

.PHONY: check
check: build lint dead pure pcap race peers ## What CI runs: build, lint, dead code, builds without cgo and with libpcap, race, peers

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## Run the linters
	$(TOOLS)/golangci-lint run ./...

# deadcode exits 0 whatever it finds, so its output decides. Fixtures serve the
# tests too, so there code that only a test reaches is alive.
.PHONY: dead
dead: $(TOOLS)/deadcode ## Find code that the binary does not reach
	@out="$$($(TOOLS)/deadcode -tags '$(TAGS)' -filter '^probity/(cmd|evidence|internal|lint|reports|rules|scanner)' ./cmd/probity && \
	  $(TOOLS)/deadcode -test -tags '$(TAGS)' -filter '^probity/fixtures' ./...)" || exit 1; \
	if [ -n "$$out" ]; then printf 'code that nothing reaches:\n%s\n' "$$out"; exit 1; fi

# Not Windows, macOS or the BSDs: zcrypto does not compile there without cgo.
.PHONY: pure
pure: ## Build without cgo: lint, plan and explain, on Linux of any architecture
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/probity-pure ./cmd/probity
	CGO_ENABLED=0 GOARCH=arm64 $(GO) build -o /dev/null ./cmd/probity
	bin/probity-pure version

.PHONY: pcap
pcap: ## Build bin/probity-pcap, whose listen --filter takes every expression of libpcap (libpcap-dev)
	$(GO) vet -tags '$(TAGS) pcap' ./scanner/passive/capture
	$(GO) test -tags '$(TAGS) pcap' -run Filter ./scanner/passive/capture
	$(GO) build -trimpath -tags '$(TAGS) pcap' -ldflags '$(LDFLAGS)' -o bin/probity-pcap ./cmd/probity

.PHONY: race
race: ## Run every test under the race detector
	$(GOTEST) -race -shuffle=on -timeout 30m ./...

.PHONY: peers
peers: ## Run the tests against real peers; a missing peer is a failure
	@scripts/peers.sh check
	PROBITY_REQUIRE_PEERS=1 $(GOTEST) -count=1 -run Peer ./...

.PHONY: bench
bench: ## Run the benchmarks (BENCH=regexp)
	$(GOTEST) -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: traffic
traffic: build ## Write bin/traffic.pcap of SIZE (1G) and bin/traffic.json, what it holds (FLAGS='--tunnels')
	bin/probity lab traffic --size $(SIZE) $(FLAGS) --output bin/traffic.pcap --truth bin/traffic.json

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (30s)
	@TAGS='$(TAGS)' FUZZTIME='$(FUZZTIME)' scripts/fuzz.sh

.PHONY: new-lint
new-lint: ## Begin a check of NAME (cert/no_md5): file, cases, line in Checks, entry in the catalogue
	@scripts/new-lint.sh '$(NAME)'

.PHONY: cases
cases: ## Write cases of checks that are not there yet, and what every check says of each; read the diff
	$(GOTEST) ./lint/all -run '^TestCases$$' -generate

.PHONY: golden
golden: cases ## Rewrite all golden files; read the diff before you commit it
	$(GOTEST) ./reports ./evidence/store ./cmd/probity -run '_golden$$|^TestScripts$$|^TestDocs_fingerprints$$' -update

$(TOOLS)/%: .ci/tools/go.mod .ci/tools/go.sum
	@echo "building the development tools into $(TOOLS) (once)"
	@cd .ci/tools && $(GO) build -o bin/ tool
	@touch $(TOOLS)/*
