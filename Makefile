# Everything here works on a fresh Debian with Go; `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export GOWORK := off
export GOFLAGS ?= -buildvcs=false
VERSION ?= 0.1.0
LDFLAGS := -s -w -X github.com/strongkeep/strongkeep/internal/app.Version=$(VERSION)
PACKAGES ?= ./...

.PHONY: help build test race rotations kms-away kms-ill kms-turn rewrite migrate test-etcd lint generate demo up down cluster bench fuzz chaos chaos-mutants

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build build/strongkeep, static, and build/strongkeep-pkcs11 where a C compiler is
	@mkdir -p build
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o build/strongkeep ./cmd/strongkeep
	@hack/build-pkcs11.sh build/strongkeep-pkcs11

test: ## Run every test, the real cluster's included; installs what it needs
	hack/test.sh $(PACKAGES)

race: ## Run every test under the race detector
	hack/test.sh -race $(PACKAGES)

rotations: ## Fifty rotations under load on a real node, and an API server away for a minute
	STRONGKEEP_ROTATIONS=50 go test -count=1 -timeout 90m -v -run 'UnderLoad|APIServerAway' ./test/rotation

kms-away: ## A real API server without its KMS plugin, for longer than it writes
	STRONGKEEP_KMS_AWAY=1 go test -count=1 -timeout 30m -v -run PluginAway ./test/encryption

kms-ill: ## Real API servers whose KMS plugin is killed, slow or throttled, serves many resources, or has lost its key
	STRONGKEEP_KMS_ILL=1 go test -count=1 -timeout 30m -v -run 'KeyStoreThat|PluginKilled|ManyResources|RescueFromMemory' ./test/encryption

kms-turn: ## A key in a vault is turned under two real API servers that are written to, in six minutes
	STRONGKEEP_KMS_TURN=1 go test -count=1 -timeout 30m -v ./test/encryption/turn

rewrite: ## 20,000 Secrets rewritten in etcd beside 200 writers
	STRONGKEEP_REWRITE=1 go test -count=1 -timeout 90m -v -run Writers ./internal/kube/encryption/rewrite

migrate: ## Take over from the External Secrets Operator itself, and give back
	STRONGKEEP_ORIGINAL=1 go test -count=1 -timeout 60m -v ./test/migrate

chaos: ## SCHEDULES (default 100) of faults on nodes from SEED (default 1) on, WORLDS (default 1) at once, of WORLD external, cluster or embedded
	WORLD=$${WORLD:-external} SCHEDULES=$${SCHEDULES:-100} SEED=$${SEED:-1} WORLDS=$${WORLDS:-1} go test -count=1 -timeout 12h -v -run Schedules ./test/chaos

chaos-mutants: ## What the harness of `make chaos` finds in servers that are broken on purpose, in WORLD
	STRONGKEEP_MUTANTS=1 go test -count=1 -timeout 60m -v -run Mutants ./test/chaos

test-etcd: ## Run the vault's tests on a real etcd
	hack/test-etcd.sh $(if $(filter-out ./...,$(PACKAGES)),$(PACKAGES))

lint: ## Check format, import rules, budgets, generated files
	hack/lint.sh

generate: ## Make deepcopy, CRDs, RBAC and manifests anew
	hack/generate.sh

demo: ## A secret's way from the vault into a pod, on a real cluster, in one go
	go run ./test/demo

up: ## The demo, left running, to look around
	go run ./test/demo up

down: ## End what `make up` left running
	go run ./test/demo down

cluster: ## A real Kubernetes with a kubeconfig, until Ctrl-C
	@mkdir -p build
	go build -o build/cluster ./test/cluster/cmd/cluster
	exec build/cluster up

bench: ## Measure; ONLY=name runs one; table and build/bench.json
	go run ./test/bench $(if $(ONLY),-only $(ONLY))

fuzz: ## Fuzz every parser, FUZZTIME each (default 60s)
	hack/fuzz.sh
