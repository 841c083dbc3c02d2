// Package shadow runs copies of consumers' pods on a credential that is staged
// and that nobody else sees: a bare pod for each workload, with Secrets of its own,
// without the workload's labels, so that no Service sends it anything and no
// controller takes it for its own. It ends by itself, and goes with its Rotation.
//
// docs/rotation/rehearsal.md says what a shadow does beside being watched.
//
// Start reading at Crew.Start, then Copy.
package shadow
