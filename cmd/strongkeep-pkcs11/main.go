//go:build linux && cgo

// Command strongkeep-pkcs11 loads a PKCS#11 module for Strongkeep's key store pkcs11.
package main

import (
	"os"

	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/token"
)

func main() {
	os.Exit(token.Main(os.Args[1:], os.Stdout, os.Stderr))
}
