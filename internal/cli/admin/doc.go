// Package admin is what stands below "operator" for the person who runs a
// vault: initialise, unseal, seal, rotate, look at the nodes.
//
// Start reading at Commands.
package admin
