// Package inject says why an injector did not put a container into a pod that asks
// for it by annotations, or why a CSI volume with secrets was not mounted. table
// has the injectors that are known, a line each.
//
// Start reading at Find.
package inject
