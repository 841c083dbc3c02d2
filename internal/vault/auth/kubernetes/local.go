package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// serviceAccountDir is where the kubelet puts a pod's token and the cluster's CA.
const serviceAccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// fileTTL is how long a local file is remembered: the kubelet renews the token
// long before it ends.
const fileTTL = time.Minute

// files are the token and the certificate of the pod this server runs in.
type files struct {
	dir string
	now func() time.Time

	mu    sync.Mutex // guards known
	known map[string]file
}

type file struct {
	text string
	read time.Time
}

// get returns a file's content without white space around it, "" if it is not
// there. One that cannot be read any more counts as its last content.
func (f *files) get(name string) string {
	now := f.now()
	f.mu.Lock()
	old := f.known[name]
	f.mu.Unlock()
	if age := now.Sub(old.read); !old.read.IsZero() && age >= 0 && age < fileTTL {
		return old.text
	}
	raw, err := os.ReadFile(filepath.Join(f.dir, name))
	text := strings.TrimSpace(string(raw))
	if err != nil && !os.IsNotExist(err) {
		text = old.text
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil {
		f.known = map[string]file{}
	}
	f.known[name] = file{text, now}
	return text
}

func (f *files) token() string { return f.get("token") }
func (f *files) ca() string    { return f.get("ca.crt") }
