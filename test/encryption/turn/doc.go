// Package turn has a key turned under two real API servers with two real plugins, whose
// key is in a real vault, while both are written to.
package turn
