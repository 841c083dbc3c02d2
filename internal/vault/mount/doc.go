// Package mount is the table of what is mounted where: secrets engines at
// their paths and auth methods below "auth/".
//
// Entries are stored one key each ("mount/entry/<id>"). In memory an immutable
// Table answers which mount a path belongs to; Registry rebuilds it after a
// commit that touched entries, keeps the running engines by mount ID, and
// swaps the table in one step, so that a request sees either the old table or
// the new one and takes no lock.
//
// Start reading at Entry, then Table.Find, then Registry.
package mount
