// Package postgresql makes users in PostgreSQL and what speaks its protocol.
//
// Statements of one call run in one transaction. Names are quoted by the driver
// or by package statement, for the quotes they stand in; a role can be called
// anything and be removed without harm to others (CVE-2026-39946). With
// password_authentication=scram-sha-256 the server and its log never see a
// password, only the verifier of RFC 5803 computed here.
//
// Start reading at Type, then database.Create and database.Delete.
package postgresql
