// Package rollouttest plays the node in clusters that have none: pods get ready,
// crash or linger as their annotations say. The API server and the controllers
// that make the pods are real.
//
// Start reading at Start.
package rollouttest
