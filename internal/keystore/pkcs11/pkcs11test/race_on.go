//go:build linux && cgo && race

package pkcs11test

var raced = []string{"-race"}
