# The targets a person needs. Everything is plain `go` underneath.
GO      ?= go
GOFLAGS += -trimpath
PREFIX  ?= /usr/local
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
# The entry of `stack oci`, see cmd/stack/entry.go.
ENTRY   := -E main.entry
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
GOTESTSUM   := gotest.tools/gotestsum@v1.13.0

export CGO_ENABLED = 0

.PHONY: build install test test-v2 lint fuzz bench conformance demo clean deps

build: ## the binaries, static, into bin/
	$(GO) build $(GOFLAGS) -ldflags '$(LDFLAGS) $(ENTRY)' -o bin/ ./cmd/stack
	$(GO) build $(GOFLAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/stack-shim ./cmd/stack-build
	@ln -sf stack-shim bin/stack-oci

install: build ## the binaries side by side
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/bin bin/stack bin/stack-shim bin/stack-build
	@ln -sf stack-shim $(DESTDIR)$(PREFIX)/bin/stack-oci

deps: ## what the tests need, from Debian
	@.ci/deps

test: deps build ## everything that this user may run; as root nothing is left out
	.ci/gotest $(GO) $(GOTESTSUM) "$$($(GO) list ./... | grep -v /cmd/stackbench$$)" -skip '^TestDemonstration$$'
	.ci/gotest $(GO) $(GOTESTSUM) ./cmd/stack -run '^TestDemonstration$$' # answers within a second: alone, as the next
	.ci/gotest $(GO) $(GOTESTSUM) ./cmd/stackbench # it compares times: alone, after all others

test-v2: deps ## the runtime's tests on pure cgroup v2, in a QEMU guest
	.ci/v2/test

lint: ## formatting, vet, staticcheck, known vulnerabilities where the database answers
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "not gofmt-clean: $$out"; exit 1; }
	$(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	@.ci/vuln "$(GO)" "$(GOVULNCHECK)"

fuzz: ## each fuzz target for FUZZTIME
	.ci/fuzz $(or $(FUZZTIME),20s)

bench: build ## up and down, pull and unpack beside a raw floor and docker compose
	$(GO) build $(GOFLAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/stackbench
	bin/stackbench
	bin/stackbench --reload
	@.ci/bench-images bin/stack
	@.ci/bench-builds bin/stack
	@.ci/bench-vm bin/stack

conformance: build ## opencontainers/runtime-tools' validation suite against `stack oci`
	.ci/conformance/run

demo: build ## the hello stack, end to end
	examples/hello/demo bin/stack

clean:
	rm -rf bin .cache
