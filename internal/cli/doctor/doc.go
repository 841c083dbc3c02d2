// Package doctor has the command doctor: why something about a secret does not
// work, with evidence and what to do.
//
// Start reading at Command.
package doctor
