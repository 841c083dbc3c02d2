package member

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestConfig(t *testing.T) {
	good := Config{Dir: "d", Name: "a", Peers: []Peer{{Name: "b", URL: "https://h:2"}, {Name: "a", URL: "https://h:1"}}}
	if err := good.complete(); err != nil || good.Listen != ":1" || good.Peers[0].Name != "a" {
		t.Errorf("%+v, %v", good, err)
	}
	for name, peers := range map[string][]Peer{
		"nobody": {}, "not this node": {{Name: "b", URL: "https://h:1"}}, "plain": {{Name: "a", URL: "http://h:1"}}, "no port": {{Name: "a", URL: "https://h"}},
		"a path": {{Name: "a", URL: "https://h:1/x"}}, "a password": {{Name: "a", URL: "https://u:p@h:1"}}, "no name": {{Name: "a", URL: "https://h:1"}, {Name: "", URL: "https://h:2"}},
		"a name twice": {{Name: "a", URL: "https://h:1"}, {Name: "a", URL: "https://h:2"}}, "an address twice": {{Name: "a", URL: "https://h:1"}, {Name: "b", URL: "https://h:1"}},
		"too many": make([]Peer, MaxPeers+1),
	} {
		c := Config{Dir: "d", Name: "a", Peers: peers}
		if err := c.complete(); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRecord(t *testing.T) {
	dir := t.TempDir()
	r, err := loadRecord(dir, "a")
	if err != nil || len(r.Birth) != 32 {
		t.Fatal(r, err)
	}
	again, err := loadRecord(dir, "a")
	if err != nil || !reflect.DeepEqual(r, again) {
		t.Errorf("%+v became %+v, %v", r, again, err)
	}
	if _, err := loadRecord(dir, "b"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "keeps its name") {
		t.Errorf("another node's directory: %v", err)
	}
	r.URLs, r.Births = map[string]string{"a": "https://h:1"}, map[string]string{"a": r.Birth}
	r.Cluster, r.Started = formation(r.URLs, r.Births), true
	if err := r.save(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := loadRecord(dir, "a"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "no data") {
		t.Errorf("the data was lost and the record was not: %v", err)
	}
	data := filepath.Join(dataDir(dir), "member", "wal")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "0000000000000000-0000000000000000.wal"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadRecord(dir, "a"); err != nil {
		t.Error(err)
	}
	if err := os.Remove(recordFile(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := loadRecord(dir, "a"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "no cluster.json") {
		t.Errorf("data without a record: %v", err)
	}
}

func FuzzRecord(f *testing.F) {
	r := record{Version: 1, Name: "a", Birth: "00", URLs: map[string]string{"a": "https://h:1"}, Births: map[string]string{"a": "00"}}
	r.Cluster = formation(r.URLs, r.Births)
	raw, _ := json.Marshal(r)
	f.Add(raw)
	r.Births["a"] = "01"
	raw, _ = json.Marshal(r)
	f.Add(raw)
	f.Add([]byte(`{"version":1,"name":"a","birth":"0","started":true}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parseRecord(raw)
		if err != nil {
			if !errs.Is(err, errs.Invalid) && !errs.Is(err, errs.Unsupported) {
				t.Error(err)
			}
			return
		}
		if len(r.Births) > 0 && r.Births[r.Name] != r.Birth {
			t.Error("a record of a formation without this node was taken")
		}
	})
}
