#!/bin/sh
# Writes what is generated from the API types and from internal/kube/operator/rbac:
# deep copies, CRDs (api/crds) and the operator's manifests (deploy/operator).
# Called by `make generate`; CI fails when it changes anything.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
bin=$root/build/bin
mkdir -p "$bin"
(cd "$root/hack/tools/generate" && go build -o "$bin/controller-gen" sigs.k8s.io/controller-tools/cmd/controller-gen)
cd "$root"
"$bin/controller-gen" object paths=./api/external/... paths=./api/generators/... paths=./api/v1alpha1/...
"$bin/controller-gen" crd:crdVersions=v1,maxDescLen=400 paths=./api/external/... paths=./api/generators/... paths=./api/v1alpha1/... output:crd:dir=api/crds
cp api/crds/*.yaml deploy/crds/
go run ./internal/kube/operator/rbac/render deploy/operator
