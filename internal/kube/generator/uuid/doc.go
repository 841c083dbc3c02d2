// Package uuid draws UUIDs.
//
// Start reading at Kind.
package uuid
