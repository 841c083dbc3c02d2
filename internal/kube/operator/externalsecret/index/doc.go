// Package index is how ExternalSecrets are found in the cache by what they depend on,
// and by what they write.
//
// Start reading at Fields, then Makers.
package index
