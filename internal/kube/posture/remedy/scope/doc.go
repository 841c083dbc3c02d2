// Package scope knows which resources of a cluster lie in namespaces, and of which this
// cannot be told now, since what serves them is down.
//
// Start reading at Namespaced.
package scope
