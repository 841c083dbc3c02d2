// Package consumer says who uses a credential: from where it lives in a store,
// over the Secrets that are fed from it, to the pods that use those and what
// restarts the pods. It has the contract of such a Graph, and what one object
// says: how a pod uses Secrets, how it does, how a workload is restarted.
// Package finder, below it, searches clusters, says which sources it could not
// ask, and never assumes that what it does not see is not there.
//
// Start reading at Graph.
package consumer
