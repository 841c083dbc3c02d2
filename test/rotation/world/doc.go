// Package world is what the proof of rotation runs in: a real cluster with a
// node, real databases that its pods reach, and for each test a vault, an
// operator with its own ServiceAccount's permissions and no more, and
// applications (test/rotation/sample) that query without pause and report what
// did not work.
//
// Only tests import it. Start reading at Main, then New.
package world
