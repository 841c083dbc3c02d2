// Package session is what every command shares: the world it runs in, the
// client of the server, how values are read and answers are written, and what
// errors mean to a person.
//
// Start reading at Session.
package session
