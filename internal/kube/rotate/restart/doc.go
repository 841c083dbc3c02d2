// Package restart restarts the consumers of a rotation: it says to package
// rollout what their pods must have been created for.
//
// Start reading at Roller.
package restart
