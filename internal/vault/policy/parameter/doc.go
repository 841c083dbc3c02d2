// Package parameter compares what a request holds in a field with the values
// that a policy allows or denies there.
//
// Start reading at Value, then AllAllowed and AnyDenied.
package parameter
