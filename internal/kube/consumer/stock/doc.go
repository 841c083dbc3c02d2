// Package stock keeps what a search for consumers needs of the pods and
// workloads of a cluster: a kilobyte or two of each, indexed by the Secrets that
// they use, so that finding is a lookup however many there are. Informers keep a
// stock true; of another cluster, or for one last look, it is read page by page.
//
// Start reading at Keeper and Entry.
package stock
