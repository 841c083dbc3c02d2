package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// credential is what the application logs in with.
type credential struct{ user, password string }

// String keeps the password out of whatever prints it.
func (c credential) String() string { return c.user }

// credential reads the present credential from where the configuration says.
func (c config) credential() (credential, error) {
	if c.source == fromEnv {
		got := credential{os.Getenv("DB_USERNAME"), os.Getenv("DB_PASSWORD")}
		if got.user == "" || got.password == "" {
			return got, errors.New("the environment has no DB_USERNAME or DB_PASSWORD")
		}
		return got, nil
	}
	return readFiles(c.dir)
}

// readFiles reads a mounted Secret. The kubelet writes a new folder and then
// turns the symbolic link "..data" to it: both files are read from the folder
// that the link named once, so that they belong together.
func readFiles(dir string) (credential, error) {
	at := dir
	if target, err := os.Readlink(filepath.Join(dir, "..data")); err == nil {
		at = filepath.Join(dir, target)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return credential{}, fmt.Errorf("reading the Secret's folder: %w", err)
	}
	var c credential
	for name, value := range map[string]*string{"username": &c.user, "password": &c.password} {
		content, err := os.ReadFile(filepath.Join(at, name))
		if err != nil {
			return c, fmt.Errorf("reading the Secret's files: %w", err)
		}
		*value = strings.TrimSuffix(string(content), "\n")
	}
	return c, nil
}
