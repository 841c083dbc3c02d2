package member

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/storage/wal"

	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// record is what a node has written down, in DIR/cluster.json. It is durable before etcd
// acts on it.
type record struct {
	Version int    `json:"version"` // recordVersion
	Name    string `json:"name"`
	Birth   string `json:"birth"` // random, made with the directory
	// Cluster is the one that this node belongs to, "" while it is new. It never changes.
	Cluster string `json:"cluster,omitempty"`
	// Births and URLs are those of the nodes that formed it, by name; absent if this node
	// was taken in later.
	Births map[string]string `json:"births,omitempty"`
	URLs   map[string]string `json:"urls,omitempty"`
	// Epoch counts how often the cluster was recovered from one member by hand.
	Epoch int `json:"epoch,omitempty"`
	// Started is set once etcd has files.
	Started bool `json:"started,omitempty"`
}

const recordVersion = 1

func recordFile(dir string) string { return filepath.Join(dir, "cluster.json") }
func dataDir(dir string) string    { return filepath.Join(dir, "etcd") }

// hasData reports whether etcd has started in dir before.
func hasData(dir string) bool { return wal.Exist(filepath.Join(dataDir(dir), "member", "wal")) }

// loadRecord reads what is there, or begins a new record.
func loadRecord(dir, name string) (record, error) {
	raw, err := os.ReadFile(recordFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		if hasData(dir) {
			return record{}, errs.Newf(errs.Invalid, "%s has data of etcd and no cluster.json: it is not a member's directory, or part of it was lost; restore it whole, or empty it to join anew", dir)
		}
		birth := make([]byte, 16)
		_, _ = rand.Read(birth) // never fails: crypto/rand ends the program first
		r := record{Version: recordVersion, Name: name, Birth: hex.EncodeToString(birth)}
		return r, r.save(dir)
	}
	if err != nil {
		return record{}, errs.Newf(errs.Unavailable, "reading what this node has written down: %w", err)
	}
	r, err := parseRecord(raw)
	switch {
	case err != nil:
		return record{}, errs.Newf(errs.Invalid, "reading %s: %w", recordFile(dir), err)
	case r.Name != name:
		return record{}, errs.Newf(errs.Invalid, "%s is the directory of the node %q, and this one is called %q: a node keeps its name", dir, r.Name, name)
	case r.Started && !hasData(dir):
		return record{}, errs.Newf(errs.Invalid, "%s has cluster.json and no data of etcd: it was lost; empty the directory and the node joins anew", dir)
	}
	return r, nil
}

// parseRecord refuses what no node has written.
func parseRecord(raw []byte) (record, error) {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, errs.Newf(errs.Invalid, "it is damaged: %w", err)
	}
	switch {
	case r.Version != recordVersion:
		return r, errs.Newf(errs.Unsupported, "it has version %d, and this program knows %d", r.Version, recordVersion)
	case r.Name == "" || r.Birth == "" || r.Epoch < 0 || r.Started && r.Cluster == "":
		return r, errs.New(errs.Invalid, "it is damaged: something is missing")
	case len(r.Births) > 0 && (r.Cluster != formation(r.URLs, r.Births) || r.Births[r.Name] != r.Birth):
		return r, errs.New(errs.Invalid, "it is damaged: the cluster is not that of its births")
	}
	return r, nil
}

func (r record) save(dir string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return errs.Newf(errs.Internal, "writing down the cluster: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return errs.Newf(errs.Unavailable, "making the directory %s: %w", dir, err)
	}
	if err := draft.Write(recordFile(dir), append(raw, '\n'), 0o600); err != nil {
		return errs.Newf(errs.Unavailable, "writing down the cluster: %w", err)
	}
	return nil
}

// formation names the cluster that these nodes form, with these births.
func formation(urls, births map[string]string) string { return digest(urls, births) }
