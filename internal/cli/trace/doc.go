// Package trace has the commands inventory and trace: which credentials there are,
// and where one is, from where, who uses it and who gets at it.
//
// Start reading at Commands.
package trace
