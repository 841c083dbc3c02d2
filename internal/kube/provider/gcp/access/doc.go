// Package access is how a store comes by access tokens of Google: whose they are, by
// which exchanges, and how long that holds. One login serves a store until it is
// near its end.
//
// Start reading at Access.
package access
