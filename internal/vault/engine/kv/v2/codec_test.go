package v2

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func at(sec int64, nsec int64) time.Time { return time.Unix(sec, nsec).UTC() }

func sampleMetadata() *metadata {
	m := &metadata{
		current: 300, oldest: 298, maxVersions: 3, casRequired: true, metaVersion: 2, metaCASRequired: true,
		deleteAfter: 90 * time.Second, created: at(1_700_000_000, 5), updated: at(1_700_000_100, 0),
		versions: []version{
			{n: 298, created: at(1_700_000_050, 1), destroyed: true},
			{n: 299, created: at(1_700_000_060, 2), deleted: at(1_700_000_070, 3)},
			{n: 300, created: at(1_700_000_100, 0)},
		},
		custom: []pair{{"a", ""}, {"owner", "team é"}},
	}
	m.customJSON = m.renderCustom()
	return m
}

// The stored bytes of format 1: a change here needs a new format and a
// decision record, for old entries must be read for good.
const (
	goldenMetadata = "01" + "03" + "ac02" + "aa02" + "03" + "02" + "8090d8c69e05" +
		"80c49fd50c" + "05" + "c8c59fd50c" + "00" +
		"03" +
		"aa02" + "01" + "e4c49fd50c" + "01" + "0000" +
		"01" + "00" + "f8c49fd50c" + "02" + "8cc59fd50c" + "03" +
		"01" + "00" + "c8c59fd50c" + "00" + "0000" +
		"02" + "0161" + "00" + "056f776e6572" + "077465616d20c3a9"
	goldenConfig = "01" + "01" + "07" + "01"
)

func TestGoldenMetadata(t *testing.T) {
	m := sampleMetadata()
	if got := hex.EncodeToString(m.encode()); got != goldenMetadata {
		t.Errorf("encoded\n%s, want\n%s", got, goldenMetadata)
	}
	raw, err := hex.DecodeString(goldenMetadata)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeMetadata(raw)
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("decoded\n%+v, %v, want\n%+v", got, err, m)
	}
}

func TestGoldenConfig(t *testing.T) {
	c := &config{maxVersions: 7, casRequired: true, deleteAfter: -1}
	if got := hex.EncodeToString(c.encode()); got != goldenConfig {
		t.Errorf("encoded %s, want %s", got, goldenConfig)
	}
	got, err := decodeConfig(c.encode())
	if err != nil || *got != *c {
		t.Errorf("decoded %+v, %v", got, err)
	}
}

func TestGoldenData(t *testing.T) {
	m := newMount(t)
	m.ok(update, "data/a", `{"data":{"x":1.0}}`)
	if got := m.Stored(t)["ver/a/1"]; got != "\x01"+`{"x":1.0}` {
		t.Errorf("stored %q", got)
	}
}

// Every damage is found or harmless: never a panic, never a wrong success on
// a cut or lengthened entry, and the error holds nothing of the entry.
func TestDamagedEntries(t *testing.T) {
	for name, c := range map[string]struct {
		whole  []byte
		decode func([]byte) error
	}{
		"metadata": {sampleMetadata().encode(), func(b []byte) error { _, err := decodeMetadata(b); return err }},
		"config":   {(&config{maxVersions: 300, deleteAfter: time.Hour}).encode(), func(b []byte) error { _, err := decodeConfig(b); return err }},
	} {
		check := func(what string, b []byte) {
			t.Helper()
			err := c.decode(b)
			if !errs.Is(err, errs.Internal) {
				t.Errorf("%s %s: %v, want an Internal error", name, what, err)
			} else if strings.Contains(err.Error(), "team") {
				t.Errorf("%s %s: the error quotes the entry: %v", name, what, err)
			}
		}
		for i := range c.whole {
			check(fmt.Sprintf("cut to %d bytes", i), c.whole[:i])
		}
		check("with a byte more", append(bytes.Clone(c.whole), 0))
		for at, value := range map[int]byte{0: 2, 1: 0x84} {
			b := bytes.Clone(c.whole)
			b[at] = value
			check(fmt.Sprintf("with %#x at %d", value, at), b)
		}
	}
	huge := append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0xff, 0xff, 0xff, 0xff, 0x0f)
	if _, err := decodeMetadata(huge); !errs.Is(err, errs.Internal) {
		t.Errorf("four billion versions in 16 bytes: %v", err)
	}
}

func FuzzDecodeMetadata(f *testing.F) {
	f.Add(sampleMetadata().encode())
	f.Add((&metadata{}).encode())
	f.Add([]byte{1, 0, 0xff})
	f.Fuzz(func(t *testing.T, entry []byte) {
		m, err := decodeMetadata(entry)
		if err != nil {
			if !errs.Is(err, errs.Internal) {
				t.Errorf("kind of %v", err)
			}
			return
		}
		again, err := decodeMetadata(m.encode())
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
		for i := range m.versions {
			if v := m.find(m.versions[i].n); v != &m.versions[i] {
				t.Errorf("version %d is not found", m.versions[i].n)
			}
		}
	})
}

func FuzzDecodeConfig(f *testing.F) {
	f.Add((&config{maxVersions: 3, deleteAfter: time.Hour, casRequired: true}).encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, entry []byte) {
		c, err := decodeConfig(entry)
		if err != nil {
			return
		}
		again, err := decodeConfig(c.encode())
		if err != nil || *again != *c {
			t.Errorf("%+v became %+v, %v", c, again, err)
		}
	})
}
