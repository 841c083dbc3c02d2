//go:build linux && cgo

package pkcs11_test

func parent() bool { return false }
