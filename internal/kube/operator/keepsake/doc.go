// Package keepsake keeps the last value that was read of each secret, sealed, in a
// directory, so that a namespace or a cluster that is made anew can start while a
// store is away. It is off unless somebody asks for it.
//
// A value is found again only by the same store (kind, namespace, name and all that
// its spec says of the provider), the same request and the same credentials, and is good for as long as the
// directory's owner says. Names of files say nothing; their content is sealed with
// AES-256-GCM under a key that is not in the directory.
//
// Start reading at Keeper.
package keepsake
