// Package stores finds the store that an object names, and says whether the
// object's namespace may use it.
//
// Start reading at Lookup.
package stores
