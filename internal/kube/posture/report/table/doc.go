// Package table writes a report for people: the answers first, then what is
// new, then what is wrong, each with what to do next.
//
// Start reading at Write.
package table
