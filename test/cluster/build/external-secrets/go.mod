// The External Secrets Operator, which Strongkeep takes over from: the source that
// package build builds, which has a go.mod and go.sum of its own for the rest.
module github.com/strongkeep/strongkeep/test/cluster/build/external-secrets

go 1.26.0

require github.com/external-secrets/external-secrets v0.20.4
