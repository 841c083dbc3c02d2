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
// Passwords that change, of static roles and of the connections' own users, are
// package rotation's; how databases are reached is package connection's. The
// engine joins the two (targets.go), and is the routes.
//
// Storage, below the mount:
//
//	config/NAME            connection, JSON
//	role/NAME              role of dynamic users, JSON
//	static/NAME            static role with its passwords, JSON
//	user/NAME/HASH         name of the static role that has a user of the connection
//	alternating/NAME       alternating role with its credentials, JSON
//	acting/NAME/ID         somebody who acts on an alternating role in its database, JSON
//	due/DAY/MINUTE/KIND-NAME   one byte; DAY 20060102, MINUTE 1504, KIND c or s
//
// Start reading at New, then Engine.creds, and package rotation.
package database
