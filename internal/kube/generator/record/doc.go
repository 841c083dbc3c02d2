// Package record is what a Secret says of the credentials in it that generators
// made: an annotation of keyed digests, times and names, and never a value. By it
// a value is known to be as it was made, a credential to be near its end, and a
// GeneratorState to be in use.
//
// Start reading at Record.
package record
