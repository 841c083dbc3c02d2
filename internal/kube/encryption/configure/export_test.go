package configure

import "github.com/strongkeep/strongkeep/internal/kube/encryption/config"

// Write is write, for a test that kills it.
func Write(file string, at func(string), current, next *config.File) error {
	cfg := &Config{File: file, At: at}
	cfg.defaults()
	return write(cfg, current, next)
}

// Identity is that of the API server on a host.
func Identity(host string) string { return identity(host) }
