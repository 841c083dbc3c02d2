// Package driver is the contract between the database engine and the kinds of
// database it makes users in. Each kind is a folder beside this one and a line
// in internal/app/registry.go; package drivertest holds the suite it passes.
//
// Start reading at Type, then Database.
package driver
