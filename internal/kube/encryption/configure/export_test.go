package configure

import (
	"bytes"

	"github.com/strongkeep/strongkeep/internal/kube/encryption/config"
)

// Write is write, for a test that kills it.
func Write(file string, at func(string), current, next *config.File) error {
	cfg := &Config{File: file, At: at}
	cfg.defaults()
	return write(cfg, current, next)
}

// Metrics is what a text of metrics tells.
func Metrics(text []byte) (Server, error) {
	var s Server
	err := s.read(bytes.NewReader(text))
	return s, err
}
