// Package conformance holds tests alone: the whole vault, spoken to as the
// clients of Vault do, row by row of the table of operations and rule by rule
// of the semantics in docs/vault-api.md, and the holes others fell into, by
// their identifiers. What the tests of an engine, a method or the wire show
// already is not shown again; docs/vault-api.md says where it is.
//
// Start reading at TestOperations.
package conformance
