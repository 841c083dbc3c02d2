package unseal_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/app/unseal"
	"github.com/strongkeep/strongkeep/internal/errs"
	keyfile "github.com/strongkeep/strongkeep/internal/keystore/file"
)

func TestOpen(t *testing.T) {
	good := filepath.Join(t.TempDir(), "key")
	if _, err := keyfile.Generate(good); err != nil {
		t.Fatal(err)
	}
	list := func(all ...unseal.Config) unseal.Keys { return unseal.Keys{List: all} }
	for name, c := range map[string]struct {
		keys unseal.Keys
		say  string
	}{
		"no name":       {list(unseal.Config{KeyFile: good}), "the name"},
		"bad name":      {list(unseal.Config{Name: "A/b", KeyFile: good}), "the name"},
		"shares' name":  {list(unseal.Config{Name: "shamir", KeyFile: good}), "two unseal keys"},
		"twice":         {list(unseal.Config{Name: "a", KeyFile: good}, unseal.Config{Name: "a", KeyFile: good}), "two unseal keys"},
		"kind's name":   {unseal.Keys{File: good, List: []unseal.Config{{Name: "keyfile", KeyFile: good}}}, "two unseal keys"},
		"nothing":       {list(unseal.Config{Name: "a"}), "and not both"},
		"both":          {list(unseal.Config{Name: "a", KeyFile: good, KeyStore: []byte(`{}`)}), "and not both"},
		"timeout":       {list(unseal.Config{Name: "a", KeyFile: good, Timeout: "1h"}), "timeout"},
		"unknown store": {list(unseal.Config{Name: "a", KeyStore: []byte(`{"none":{}}`)}), "no kind of key store"},
		"only broken":   {list(unseal.Config{Name: "a", KeyFile: good + "x"}), "operator unseal-key"},
	} {
		if _, _, err := unseal.Open(c.keys); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v, want %q", name, err, c.say)
		}
	}
	if _, broken, _ := unseal.Open(unseal.Keys{File: good + "x"}); len(broken) != 1 || broken[0].Name != "keyfile" {
		t.Errorf("the key of unseal_key_file is told as %+v", broken)
	}
	all, broken, err := unseal.Open(list(unseal.Config{Name: "a", KeyFile: good + "x"}, unseal.Config{Name: "b", KeyFile: good, Timeout: "3s"}))
	if err != nil || len(all) != 1 || len(broken) != 1 || broken[0].Name != "a" || errs.KindOf(broken[0].Err) == errs.Internal {
		t.Errorf("one of two: %v %v %v", all, broken, err)
	}
}
