// Package redis makes users in Redis and Valkey by their access control lists.
//
// The server is given the SHA-256 of a password, which is what it keeps, so that
// neither MONITOR nor its slow log shows one. Statements of a role are ACL rules
// in the form of ACL SETUSER; those about passwords are refused.
//
// Start reading at Type, then database.Create.
package redis
