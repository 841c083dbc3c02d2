// Package probe asks everybody who can say what pods use: nodes, applications and
// the backend, and puts their words together.
//
// Start reading at Prober.Probe.
package probe
