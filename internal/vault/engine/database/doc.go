// Package database is the database secrets engine: users that are made for one
// lease and removed when it ends (creds/), and users that stay and whose
// passwords change on time (static-creds/), in any database that implements
// package driver.
//
// A dynamic user is committed before it is made: the lease with the user's name
// is durable first, then the database is asked (engine.Response.After). A crash
// in between leaves a lease without a user, whose revocation finds nothing, and
// never a user without a lease.
//
// A password changes in four steps, each of which may be the last one before a
// crash: (1) the new one is stored beside the old one, (2) set in the database,
// (3) proved by a login, (4) stored as the current one. Until (4) both are known,
// so neither is ever lost; see rotate.
//
// What is due is found by an index ordered in time; see queue.go.
//
// Storage, below the mount:
//
//	config/NAME            connection, JSON
//	role/NAME              role of dynamic users, JSON
//	static/NAME            static role with its passwords, JSON
//	due/DAY/MINUTE/KIND-NAME   empty; DAY 20060102, MINUTE 1504, KIND c or s
//
// Start reading at New, then Engine.creds and Engine.rotate.
package database
