// Package printable makes text of strangers harmless on a terminal: names of users in
// role bindings, reasons of conditions, paths in stores are whatever somebody wrote,
// and a terminal obeys what it is sent.
//
// Start reading at Line.
package printable
