// Package wire is what the clients of AWS's services have in common: HTTP with
// bounds, retries, and what an error of AWS means.
//
// Start reading at Fail.
package wire
