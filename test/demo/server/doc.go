// Package server runs build/strongkeep as a server, and as the command line that
// speaks to it, as a person would.
//
// Start reading at [Server.Start].
package server
