package kms_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/kms"
)

// What is foretold of a key's versions is what a running plugin tells.
func TestVersions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	key, err := file.Generate(path)
	if err != nil {
		t.Fatal(err)
	}
	long, soon := time.Now().Add(-time.Hour).Truncate(time.Second), time.Now().Add(time.Hour).Truncate(time.Second)
	for _, made := range []time.Time{long, soon} {
		if err := file.Add(path, made); err != nil {
			t.Fatal(err)
		}
	}
	p, err := kms.New(kms.Config{Name: "cluster", Key: key, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	h, err := key.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := p.Versions(h)
	if id, err := p.Status(); err != nil || len(all) != 3 || all[1].KeyID != id || all[0].KeyID == id || all[2].KeyID == id {
		t.Errorf("%+v, while the plugin has %s, %v", all, id, err)
	}
	if !all[0].Active.IsZero() || !all[1].Active.Equal(long.Add(kms.DefaultActivationDelay)) || !all[2].Active.Equal(soon.Add(kms.DefaultActivationDelay)) || !all[2].Wraps {
		t.Errorf("%+v", all)
	}
	if a := p.About(); a.Waiting != all[2].ID || !a.Due.Equal(all[2].Active) {
		t.Errorf("the plugin turns to %s at %s, and not to %+v", a.Waiting, a.Due, all[2])
	}
}
