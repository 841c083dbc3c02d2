// Package jsonstream writes JSON of large values bit by bit, byte for byte what an
// Encoder of encoding/json writes (but for what is no UTF-8: there it writes U+FFFD and
// not its escape). That one holds all of it, and indented twice.
//
// Start reading at Indented.
package jsonstream
