// Package gentest makes clusters that never were, of any size, with what was
// planted in them written down beside: which credential has copies where, who gets
// at which Secret, what nothing uses. The same Config makes the same cluster. It is
// for tests and benchmarks of what answers from a snapshot; whoever needs other
// faults plants them with a Plant and keeps the truth of it.
//
// Start reading at New.
package gentest
