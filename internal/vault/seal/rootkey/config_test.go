package rootkey

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
)

var newGolden = flag.Bool("new-golden", false, "write testdata of formats that have none yet")

// golden compares got with a file that must never change: there are vaults
// on disk in this format. A new format gets a new file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) && *newGolden {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the format has changed: got\n%q\nwant\n%q", name, got, want)
	}
}

func exampleConfig() Config {
	return Config{
		Version: 2,
		VaultID: uuid.MustParse("0b2f7c1e-9d3a-4f7a-8a52-1c2d3e4f5a6b"),
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Wrappings: []Wrapping{
			{Kind: "shamir", KeyID: "5e00000000000001", Shares: 5, Threshold: 3, Blob: []byte("a box"), Hashes: slices.Repeat([][]byte{bytes.Repeat([]byte{7}, 32)}, 5)},
			{Kind: "keyfile", KeyID: "9000000000000001", Blob: []byte("another"), Name: "disk", Added: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)},
		},
	}
}

func TestConfigFormat(t *testing.T) {
	want := exampleConfig()
	encoded, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "seal-config-v2.json", encoded)
	got, err := Decode(encoded)
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("read back %v, %s", err, cmp.Diff(want, got))
	}
}

// What the version before this one wrote is read, and becomes version 2 when it is written.
func TestConfigVersion1(t *testing.T) {
	old, err := os.ReadFile("testdata/seal-config-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Decode(old)
	if err != nil || c.Version != 1 || len(c.Wrappings) != 2 || c.People().Hashes != nil || c.Wrappings[1].Called() != "keyfile" {
		t.Fatalf("%+v, %v", c, err)
	}
	again, err := c.Encode()
	if err != nil || !bytes.Contains(again, []byte(`"version":2`)) {
		t.Errorf("%s, %v", again, err)
	}
}

func TestConfigRefuses(t *testing.T) {
	edit := func(old, new string) string {
		b, err := exampleConfig().Encode()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), old) {
			t.Fatalf("no %q in %s", old, b)
		}
		return strings.Replace(string(b), old, new, 1)
	}
	for name, c := range map[string]struct {
		text string
		kind errs.Kind
		say  string
	}{
		"nothing":         {"", errs.Internal, "damaged"},
		"not JSON":        {"\x00\x01", errs.Internal, "damaged"},
		"no version":      {"{}", errs.Unsupported, "format 0"},
		"version 3":       {edit(`"version":2`, `"version":3`), errs.Unsupported, "upgrade"},
		"3, new fields":   {`{"version":3,"new":{}}`, errs.Unsupported, "upgrade"},
		"missing hashes":  {edit(`"shares":5`, `"shares":6`), errs.Internal, "5 hashes for 6"},
		"short hash":      {edit(`"hashes":["BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="`, `"hashes":["Bwc="`), errs.Internal, "has 2 bytes"},
		"hashes of a key": {edit(`"name":"disk"`, `"hashes":["Bwc="]`), errs.Internal, "only shamir"},
		"named shares":    {edit(`"shares":5`, `"shares":5,"name":"x"`), errs.Internal, "only keys"},
		"long name":       {edit(`"name":"disk"`, `"name":"`+strings.Repeat("n", 65)+`"`), errs.Internal, "name has 65"},
		"unknown field":   {edit(`"version":2`, `"version":2,"extra":true`), errs.Internal, "extra"},
		"field twice":     {edit(`"version":2`, `"version":2,"version":2`), errs.Internal, "duplicate"},
		"more behind":     {edit(`"version":2`, `"version":2`) + "{}", errs.Internal, "damaged"},
		"no vault id":     {edit("0b2f7c1e-9d3a-4f7a-8a52-1c2d3e4f5a6b", uuid.Nil.String()), errs.Internal, "vault_id"},
		"bad vault id":    {edit("0b2f7c1e", "zzzzzzzz"), errs.Internal, "vault_id"},
		"no shamir":       {edit(`"shamir"`, `"sharks"`), errs.Internal, "shares"},
		"two shamir":      {strings.Replace(edit(`"kind":"keyfile"`, `"kind":"shamir","shares":2,"threshold":2`), `"name":"disk",`, "", 1), errs.Internal, "2 wrappings of kind shamir"},
		"no wrappings":    {`{"version":2,"vault_id":"0b2f7c1e-9d3a-4f7a-8a52-1c2d3e4f5a6b","created":"2026-01-02T03:04:05Z","wrappings":[]}`, errs.Internal, "0 wrappings"},
		"empty kind":      {edit(`"keyfile"`, `""`), errs.Internal, "kind has 0 bytes"},
		"long kind":       {edit(`"keyfile"`, `"`+strings.Repeat("k", 65)+`"`), errs.Internal, "kind has 65 bytes"},
		"empty key id":    {edit(`"9000000000000001"`, `""`), errs.Internal, "key_id has 0 bytes"},
		"empty blob":      {edit(`"YW5vdGhlcg=="`, `""`), errs.Internal, "keyfile wrapping is empty"},
		"bad base64":      {edit(`"YW5vdGhlcg=="`, `"%%"`), errs.Internal, "damaged"},
		"low threshold":   {edit(`"threshold":3`, `"threshold":1`), errs.Internal, "alone"},
		"high threshold":  {edit(`"threshold":3`, `"threshold":6`), errs.Internal, "more than"},
		"many shares":     {edit(`"shares":5`, `"shares":256`), errs.Internal, "256 shares"},
		"huge":            {edit(`"version":2`, strings.Repeat(" ", MaxSize)+`"version":2`), errs.Internal, "more than"},
	} {
		_, err := Decode([]byte(c.text))
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: got %v (%v), want kind %v saying %q", name, err, errs.KindOf(err), c.kind, c.say)
		}
	}
	twice := exampleConfig()
	twice.Wrappings = append(twice.Wrappings, twice.Wrappings[1])
	if _, err := twice.Encode(); !errs.Is(err, errs.Internal) || !strings.Contains(err.Error(), "two wrappings") {
		t.Errorf("one key twice: %v", err)
	}
}

func TestEveryFieldOfAWrappingIsBound(t *testing.T) {
	vault := uuid.MustParse("0b2f7c1e-9d3a-4f7a-8a52-1c2d3e4f5a6b")
	base := Wrapping{Kind: "shamir", KeyID: "id", Shares: 5, Threshold: 3}
	seen := map[string]string{string(base.AAD(vault)): "base"}
	for name, aad := range map[string][]byte{
		"kind":          Wrapping{Kind: "shamis", KeyID: "id", Shares: 5, Threshold: 3}.AAD(vault),
		"key id":        Wrapping{Kind: "shamir", KeyID: "ie", Shares: 5, Threshold: 3}.AAD(vault),
		"moved border":  Wrapping{Kind: "shami", KeyID: "rid", Shares: 5, Threshold: 3}.AAD(vault),
		"shares":        Wrapping{Kind: "shamir", KeyID: "id", Shares: 6, Threshold: 3}.AAD(vault),
		"threshold":     Wrapping{Kind: "shamir", KeyID: "id", Shares: 5, Threshold: 2}.AAD(vault),
		"another vault": base.AAD(uuid.MustParse("1b2f7c1e-9d3a-4f7a-8a52-1c2d3e4f5a6b")),
	} {
		if with, taken := seen[string(aad)]; taken {
			t.Errorf("%s has the aad of %s", name, with)
		}
		seen[string(aad)] = name
	}
}

func FuzzConfig(f *testing.F) {
	good, err := exampleConfig().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	if old, err := os.ReadFile("testdata/seal-config-v1.json"); err == nil {
		f.Add(old)
	}
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(`{"version":1,"wrappings":[{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Decode(b)
		if err != nil {
			if k := errs.KindOf(err); k != errs.Internal && k != errs.Unsupported {
				t.Errorf("kind %v: %v", k, err)
			}
			return
		}
		c.Version = Version
		again, err := c.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if back, err := Decode(again); err != nil || !cmp.Equal(back, c) {
			t.Errorf("read back differs: %v", err)
		}
	})
}
