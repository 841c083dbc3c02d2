// Package search finds entries in audit files: who read what, when. It is made
// for gigabytes: files are read in chunks by several goroutines, lines that
// cannot match are passed over by a search for bytes, and only the rest is
// looked at as JSON.
//
// Start reading at Query, then Files.
package search
