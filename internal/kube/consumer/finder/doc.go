// Package finder searches clusters for the consumers of a credential: it makes
// consumer.Graphs.
//
// Of our own cluster it keeps, from the first search on, what a graph needs of
// every pod and workload of the namespaces worked in, a kilobyte or two of each,
// indexed by the Secrets that they use: a search is a lookup, however many there
// are. Informers keep it true. Secrets are known by their metadata; other clusters
// are read as they are, page by page.
//
// Start reading at Finder.Find.
package finder
