// Package rotate decides what a rotation does next. Decide is a pure function of
// what was observed: it has no clock, no client and no memory. The controller
// observes, asks, writes the decision into the Rotation's status and only then
// acts; so it may be killed between any two instructions.
//
// docs/adr/0007-rotation.md has the phases and the invariants.
//
// Start reading at Decide, then Observed.
package rotate
