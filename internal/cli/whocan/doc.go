// Package whocan has the commands who-can and what-can: who gets at a Secret, and
// at which Secrets somebody gets, with the chain that explains it.
//
// Start reading at Commands.
package whocan
