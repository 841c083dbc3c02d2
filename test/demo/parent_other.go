//go:build !linux

package main

// dieWithParent does nothing where no demo can run.
func dieWithParent() {}
