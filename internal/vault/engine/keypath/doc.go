// Package keypath holds what engines share that store things under names which
// clients choose: which names are allowed, and how a folder of them is listed.
//
// Start reading at Check, then List.
package keypath
