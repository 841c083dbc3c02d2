// Package wire is gRPC to Google's services: the connection, calls with a login, and
// what their failures mean.
//
// Start reading at Dial and Do.
package wire
