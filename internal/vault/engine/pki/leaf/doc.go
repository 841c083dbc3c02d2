// Package leaf issues certificates that are no CA's: by roles, with keys made here
// or with certificate requests.
//
//	role/NAME   JSON of issuing.Role
//
// Start reading at Routes and handlers.issue.
package leaf
