// Package rotation puts the rotation of credentials together for the operator:
// who finds consumers, restarts them and asks them, and the controller that uses
// them.
//
// Start reading at Setup.
package rotation
