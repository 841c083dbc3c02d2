// Package target is the contract of what can be rotated: how a new credential
// is made beside the old one, shown to readers, and how the old one is closed and
// removed. Each kind is a package below it and runs the suite targettest.
//
// Start reading at Target.
package target
