// Package witness is the "witness" command: it runs on each node, and tells the
// operator which version of a secret the files of pods are of.
//
// Start reading at Command.
package witness
