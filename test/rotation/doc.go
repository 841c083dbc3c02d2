// Package rotation proves rotation on a real node, with real databases and an
// application that queries without pause: no query fails, every old user is
// gone, there is evidence for every pod; and when something goes wrong, the old
// credential works (docs/adr/0007-rotation.md, docs/rotation.md).
//
// STRONGKEEP_ROTATIONS says how many turns the long test does; `make rotations`
// does fifty.
//
// Start reading at TestRotationsUnderLoad.
package rotation
