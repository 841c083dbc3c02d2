// Package snapshot is what was seen of a cluster, and what could not be. It is
// data only, without a single value of a secret: checks and searches are functions
// of it. Package read makes it; as JSON it is a file that can be sent to somebody.
//
// Start reading at Snapshot: objects.go has what Kubernetes' own objects become,
// sources.go what makes credentials and the control plane, evidence.go what comes
// from Git and audit logs.
package snapshot
