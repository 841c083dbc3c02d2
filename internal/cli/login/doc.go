// Package login is the login command: how each auth method is logged in to from
// a terminal. A method that is not known here takes its fields as KEY=VALUE.
//
// Start reading at Command, then methods.
package login
