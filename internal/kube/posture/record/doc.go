// Package record makes of Kubernetes' objects what a snapshot keeps of them. It is
// functions of objects, without I/O: package read calls them with what comes from
// an API server or a file. Values become fingerprints and looks here, and nothing
// of them is kept.
//
// Start reading at Maker.
package record
