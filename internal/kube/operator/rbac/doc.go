// Package rbac says what the operator may do: the roles it needs for a set of
// options, each rule with its reason, and no more. A test runs the controllers
// with exactly these roles against a real API server and fails on a permission
// that is missing and on one that is never used.
//
// Start reading at Objects.
package rbac
