// Package path says who can get at the content of a Secret, directly or by
// detours: a right to create pods, to run commands in one, to make tokens, to
// impersonate, to grant oneself more. It works on RBAC objects and on what runs in
// the cluster, and knows no value.
//
// A right that matters is a Capability. The table in capability.go says which
// there are; search.go walks them backwards from a Secret, to everybody from whom
// a chain leads to it, each by the shortest.
//
// Start reading at Finder.Readers.
package path
