// Package access is how a store comes by credentials of AWS: whose they are, which
// roles are assumed one after the other, and how long that holds. One login serves
// a store until it is near its end.
//
// Start reading at Access.
package access
