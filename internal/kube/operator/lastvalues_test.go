package operator

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// keeping lets c keep last values in dir.
func keeping(t *testing.T, dir string) func(*Config) {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, bytes.Repeat([]byte("k"), 32), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(c *Config) { c.LastValuesDir, c.LastValuesKeyFile = dir, key }
}

// A Secret that is not there is made of last values while the store is away, by an
// operator that never saw it there, and the condition says so; once the store is
// back it has the present ones.
func TestLastValues(t *testing.T) {
	w := newWorld(t)
	ready(w)
	dir := t.TempDir()
	stop := w.start(keeping(t, dir))
	w.apply(es("kept", oneKey) + es("stays", oneKey))
	for _, name := range []string{"kept", "stays"} {
		w.es(name, v1.ReasonSecretSynced, "")
	}
	stop()
	w.kubectl("delete", "es", "kept")
	w.until("its Secret is gone", func() bool { return w.kubectl("get", "secret", "kept", "--ignore-not-found") == "" })
	stays := w.kubectl("get", "secret", "stays", "-o", "jsonpath={.metadata.resourceVersion}")
	w.vault.Put("app", `{"k":"`+canary+`2"}`)
	w.vault.Fail(503)

	w.start(keeping(t, dir))
	w.apply(es("kept", oneKey) + es("unknown", strings.ReplaceAll(oneKey, "app", "other")))
	w.secret("kept", map[string]string{"k": canary + "1"})
	w.es("kept", v1.ReasonSecretSyncedError, "values that were read at 20")
	w.es("unknown", v1.ReasonSecretSyncedError, "Vault is sealed")
	if got := w.kubectl("get", "secret", "unknown", "--ignore-not-found"); got != "" {
		t.Errorf("made of nothing: %s", got)
	}
	if now := w.kubectl("get", "secret", "stays", "-o", "jsonpath={.metadata.resourceVersion}"); now != stays {
		t.Error("a Secret that was there was written")
	}
	w.vault.Fail(0)
	w.kubectl("annotate", "es", "kept", "again=1")
	w.secret("kept", map[string]string{"k": canary + "2"})
	w.es("kept", v1.ReasonSecretSynced, "")
}

// readOnce has an operator read the value, keep it, and end; what was made of it is gone.
func readOnce(w *world, dir string) {
	w.Helper()
	stop := w.start(keeping(w.T, dir))
	w.apply(es("kept", oneKey))
	w.es("kept", v1.ReasonSecretSynced, "")
	stop()
	w.kubectl("delete", "es", "kept")
	w.until("its Secret is gone", func() bool { return w.kubectl("get", "secret", "kept", "--ignore-not-found") == "" })
}

// Without the flag, with another store, and when the store refuses, nothing is made.
func TestNoLastValues(t *testing.T) {
	w := newWorld(t)
	ready(w)
	dir := t.TempDir()
	readOnce(w, dir)
	for name, c := range map[string]struct {
		status int
		keeps  bool
		words  string
	}{"unasked": {503, false, "Vault is sealed"}, "refused": {403, true, `the capability "read"`}} {
		w.vault.Fail(c.status)
		change := keeping(t, dir)
		if !c.keeps {
			change = nil
		}
		stop := w.start(change)
		w.apply(es(name, oneKey))
		w.es(name, v1.ReasonSecretSyncedError, c.words)
		if got := w.kubectl("get", "secret", name, "--ignore-not-found"); got != "" {
			t.Errorf("%s: there is %s", name, got)
		}
		stop()
	}
	w.vault.Fail(503)
	w.apply(strings.Replace(store, "path: secret", "path: secret/", 1)) // the same place, said otherwise, is another store
	w.start(keeping(t, dir))
	w.apply(es("moved", oneKey))
	w.es("moved", v1.ReasonSecretSyncedError, "Vault is sealed")
	if got := w.kubectl("get", "secret", "moved", "--ignore-not-found"); got != "" {
		t.Errorf("another store's value was used: %s", got)
	}
}

// Guards against last values for who makes the same store without its credentials, or
// with others: a missing Secret is no outage, and an outage that somebody brings about
// gives nothing without what the value was read by.
func TestLastValuesNeedTheirCredentials(t *testing.T) {
	w := newWorld(t)
	ready(w)
	dir := t.TempDir()
	readOnce(w, dir)
	token := func(data string) func() {
		return func() { w.kubectl("patch", "secret", "vault-token", "--type=merge", "-p", `{"stringData":`+data+`}`) }
	}
	for _, c := range []struct {
		name, words string
		status      int
		change      func()
	}{
		{"other-token", "Vault is sealed", 503, token(`{"token":"guessed"}`)},
		{"throttled", "", 429, func() {}},
		{"no-key", `has no key "token"`, 0, func() {
			w.kubectl("patch", "secret", "vault-token", "--type=json", "-p", `[{"op":"remove","path":"/data/token"}]`)
		}},
		{"no-secret", "does not exist", 0, func() { w.kubectl("delete", "secret", "vault-token") }},
		{"no-secret-and-away", "does not exist", 503, func() {}},
	} {
		c.change()
		w.vault.Fail(c.status)
		stop := w.start(keeping(t, dir))
		w.apply(es(c.name, oneKey))
		w.es(c.name, v1.ReasonSecretSyncedError, c.words)
		if got := w.kubectl("get", "secret", c.name, "--ignore-not-found"); got != "" {
			t.Errorf("%s: there is %s", c.name, got)
		}
		stop()
	}
	w.vault.Fail(503)
	w.apply(store) // with its token
	w.start(keeping(t, dir))
	w.apply(es("kept", oneKey))
	w.secret("kept", map[string]string{"k": canary + "1"})
}

// The key is changed while the store is away, and what was kept is still good.
func TestLastValuesKeyChanges(t *testing.T) {
	w := newWorld(t)
	ready(w)
	dir := t.TempDir()
	readOnce(w, dir)
	w.vault.Fail(503)
	key := filepath.Join(t.TempDir(), "new")
	if err := os.WriteFile(key, bytes.Repeat([]byte("n"), 32), 0o600); err != nil {
		t.Fatal(err)
	}
	change := keeping(t, dir)
	w.start(func(c *Config) {
		change(c)
		c.LastValuesKeyFile, c.LastValuesOldKeyFile = key, c.LastValuesKeyFile
	})
	w.apply(es("kept", oneKey))
	w.secret("kept", map[string]string{"k": canary + "1"})
}

func TestLastValuesSettings(t *testing.T) {
	for words, cfg := range map[string]Config{
		"without last-values-dir":      {LastValuesKeyFile: "x"},
		"without last-values-key-file": {LastValuesDir: "x"},
		"more than 0":                  {LastValuesDir: "x", LastValuesKeyFile: "x", LastValuesMaxAge: -1},
		"last-values-dir: name":        {LastValuesOldKeyFile: "x"},
		"no such file":                 {LastValuesDir: "x", LastValuesKeyFile: "/nowhere/key"},
	} {
		if k, err := lastValues(cfg, nil); k != nil || !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q", err, words)
		}
	}
	if k, err := lastValues(Config{}, nil); k != nil || err != nil {
		t.Errorf("%v, %v", k, err)
	}
}
