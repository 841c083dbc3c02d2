// Package replay holds policies against what was really done: what a change of
// a policy would have denied, and the least policy that covers what somebody did.
//
// It works on Uses, which are read from audit lines. An audit line names the
// path, the operation, the token's policies, the entity's ID and the names of
// parameters; their values are hashed there. What rests on values or on wrapping
// cannot be replayed, and is told apart as uncertain; what rests on templates for
// anything but the entity's ID is counted as not judged.
//
// Start reading at Use, then Log.Simulate and Log.Minimise.
package replay
