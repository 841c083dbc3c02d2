// Package stale says which running containers work with an older content of a
// Secret than there is: variables and subPath files never change in a running
// container, and why nothing has restarted it. When content has changed is
// known from the Secret's managedFields.
//
// Start reading at Find.
package stale
