// Package build makes the programs of the development cluster from Go modules
// and keeps them in a cache outside the work tree.
//
// Programs that share a module are a group. Each group has a folder here with a
// go.mod that names its programs as tools and pins, with its go.sum, every
// line of source that goes into them. To change a version, `go get -tool` it in
// that folder; nothing else knows the number.
//
// The cache is $STRONGKEEP_CACHE, or strongkeep in $XDG_CACHE_HOME or ~/.cache:
//
//	kube/GROUP-VERSION-HASH/PROGRAM   HASH covers go.mod, go.sum, flags, Go version
//	kube/GROUP-VERSION-HASH.lock      held while somebody builds it
//	helper/HASH/PROGRAM               our own programs; HASH covers their source
//
// Start reading at [Ensure].
package build
