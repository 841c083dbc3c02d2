// Package leasetest is an engine for tests of leases: it makes users in a
// database that lives in the test's memory, in the way an engine of the world
// does, and fails where the test says.
//
// Start reading at Database.
package leasetest
