// Package rollout restarts workloads when what they use has changed, and says
// how far they are. Rotation and reloading share it.
//
// A restart is level-triggered: a workload is rolled when the stamp in its pod
// template differs from the stamp wanted. The stamp is made of keyed digests of
// the content, so that nothing is restarted because the operator was.
//
// Start reading at Stamp, then Roller.
package rollout
