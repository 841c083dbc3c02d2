// Package envelope writes the JSON that surrounds every answer of the vault. It
// stands below the gate, because a wrapped answer is stored as the very bytes
// that the client would have got.
//
// Start reading at Append.
package envelope
