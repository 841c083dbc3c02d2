//go:build !unix

package configure

// lock does nothing: no API server runs on such a system.
func lock(string) (unlock func(), err error) { return func() {}, nil }
