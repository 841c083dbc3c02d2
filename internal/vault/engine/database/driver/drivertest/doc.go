// Package drivertest holds the suite that every kind of database passes, against
// a real server.
//
// Only tests import it. Start reading at Run.
package drivertest
