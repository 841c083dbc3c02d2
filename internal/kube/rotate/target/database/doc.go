// Package database rotates a credential of a database with overlap. The vault
// does it, at alternating-roles/ of its database engine; here its acts are called
// and its answers read. docs/engines/database.md says what each does.
//
// Start reading at Kind.
package database
