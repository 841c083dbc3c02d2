// Package document cuts streams of YAML and JSON into documents, and documents into
// the objects they hold as JSON. Whoever sends a file for review chooses its bytes:
// what is read of it is bounded, and no error has a word of it.
//
// Start reading at Reader.
package document
