package token

import (
	"encoding/hex"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func fullEntry() *Entry {
	at := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	return &Entry{
		Key: "key", Accessor: "acc", Parent: "par", parentAccessor: "pac", Type: Service, Policies: []string{"a", "b"},
		Path: "auth/token/create", MountID: "m", DisplayName: "d", Meta: map[string]string{"z": "1", "a": ""}, Role: "r", EntityID: "e",
		Created: at, LastRenewal: at.Add(1), Expires: at.Add(2), TTL: 1, Period: 2, MaxTTL: 3, ExplicitMaxTTL: 4, NumUses: spent,
		Renewable: true, Orphan: true, BoundCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::/0")},
		depth: 300, hasChildren: true, severed: true,
	}
}

// The bytes on disk must stay readable for good.
const golden = "01010f036b657903616363037061720370616311617574682f746f6b656e2f637265617465016d0164017201658a80b4bdb6f6da98318c80b4bdb6f6da98318e80b4bdb6f6da98310204060801d804020161016204016100017a0131020a31302e302e302e302f38043a3a2f30"

func TestEntryEncodingIsFixed(t *testing.T) {
	got := hex.EncodeToString(encodeEntry(fullEntry()))
	if got != golden {
		t.Errorf("the encoding of version 1 changed: stored tokens are lost\n got %s\nwant %s", got, golden)
	}
	b, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	e, err := decodeEntry(b)
	if err != nil || !reflect.DeepEqual(e, fullEntry()) {
		t.Errorf("decoded %+v, %v", e, err)
	}
}

// A field that is added to Entry and forgotten in the codec would be lost.
func TestEveryFieldIsStored(t *testing.T) {
	fullEntry := func() *Entry { e := fullEntry(); e.Namespace = "nsaBc"; return e }
	v := reflect.ValueOf(*fullEntry())
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("fullEntry leaves %s zero: the other tests prove nothing for it", v.Type().Field(i).Name)
		}
	}
	for _, e := range []*Entry{{Type: Service}, {Type: Batch}, fullEntry()} {
		got, err := decodeEntry(encodeEntry(e))
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%+v became %+v, %v", e, got, err)
		}
	}
}

func TestDecodeEntryRefuses(t *testing.T) {
	good := encodeEntry(fullEntry())
	for name, b := range map[string][]byte{
		"nothing":         nil,
		"a later version": append([]byte{2}, good[1:]...),
		"unknown type":    append([]byte{1, 9}, good[2:]...),
		"unknown flag":    append([]byte{1, 1, 0x80}, good[3:]...),
		"more behind":     append(good[:len(good):len(good)], 0),
	} {
		if _, err := decodeEntry(b); !errs.Is(err, errs.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range good {
		if _, err := decodeEntry(good[:n]); !errs.Is(err, errs.Internal) {
			t.Errorf("cut to %d of %d bytes: %v", n, len(good), err)
		}
	}
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(encodeEntry(fullEntry()))
	f.Add(encodeEntry(&Entry{Type: Batch}))
	f.Add([]byte{1, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEntry(b)
		if err != nil {
			return
		}
		again, err := decodeEntry(encodeEntry(e))
		if err != nil || !reflect.DeepEqual(e, again) {
			t.Errorf("%+v became %+v, %v", e, again, err)
		}
	})
}

// A batch token of version 1 under a key of 32 zeros. What such tokens look like
// must not change within their life.
const goldenBatch = "ASj9j0QGVmjRiecHs9DGiIdIFp1ZAdcdXQI43ZpcCESNrXDN4MfP-3mUoBwZugg26Oi3uG4V-xVckU2malCJjPeJuMs9cZnjCIHydk1W5kJhEVvkxamOxMu1mo8WoKFM7MXWQN_7tiJ2O-g8QSYEgNj7-1eLorI"

func TestBatchEncodingIsFixed(t *testing.T) {
	m, _, _ := cached(t, Spec{})
	e, err := m.openBatch(goldenBatch)
	if err != nil || e.DisplayName != "golden" || e.Type != Batch {
		t.Errorf("%+v, %v", e, err)
	}
}

func FuzzOpenBatch(f *testing.F) {
	m, _, _ := cached(f, Spec{})
	f.Add(goldenBatch)
	f.Add(goldenBatch + "A")
	f.Add("")
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, blob string) {
		if _, err := m.openBatch(blob); (err == nil) != (blob == goldenBatch) {
			t.Errorf("%q: %v", blob, err)
		}
	})
}

func FuzzDecodeAccessor(f *testing.F) {
	f.Add(encodeAccessor("acc", "key"))
	f.Add([]byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		accessor, key, err := decodeAccessor(b)
		if err != nil {
			return
		}
		if a, k, err := decodeAccessor(encodeAccessor(accessor, key)); err != nil || a != accessor || k != key {
			t.Errorf("%q, %q became %q, %q, %v", accessor, key, a, k, err)
		}
	})
}
