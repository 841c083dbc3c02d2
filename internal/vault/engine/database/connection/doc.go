// Package connection is how the database engine reaches databases: what is
// stored of a configured connection, the kinds of databases there are, and the
// pools that are open to them.
//
// Start reading at Connection, then Servers.At.
package connection
