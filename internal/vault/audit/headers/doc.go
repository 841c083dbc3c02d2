// Package headers keeps which request headers stand in audit lines, and which
// of them hashed: sys/config/auditing/request-headers.
//
// Start reading at Table, then Load and Set.
package headers
