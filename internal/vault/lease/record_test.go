package lease

import (
	"reflect"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func full() *Record {
	at := func(s int64) time.Time { return time.Unix(s, 5).UTC() }
	return &Record{
		ID: "a/creds/r/0123456789abcdefghijklmn", MountID: "m", Namespace: "root", Path: "creds/r", Role: "r", Internal: []byte(`{"u":"x"}`),
		Issued: at(1), Expires: at(2), LastRenewal: at(3), Until: at(4), Due: at(5), MaxTTL: time.Hour, Attempts: 3,
		Renewable: true, Ending: true, Irrevocable: true, Holder: "h", Accessor: "acc", EntityID: "e", DisplayName: "d", LastError: "no",
	}
}

func TestRecordCodec(t *testing.T) {
	for _, r := range []*Record{full(), {ID: "x"}, {}} {
		got, err := decodeRecord(encodeRecord(r))
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%+v became %+v, %v", r, got, err)
		}
	}
	whole := encodeRecord(full())
	for n := range whole {
		if _, err := decodeRecord(whole[:n]); !errs.Is(err, errs.Internal) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	if _, err := decodeRecord(append(whole, 0)); err == nil {
		t.Error("a byte too many is taken")
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(encodeRecord(full()))
	f.Add(encodeRecord(&Record{}))
	f.Add([]byte{1, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			if !errs.Is(err, errs.Internal) {
				t.Errorf("kind of %v", err)
			}
			return
		}
		again, err := decodeRecord(encodeRecord(r))
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	raw := encodeRecord(full())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeRecord(raw); err != nil {
			b.Fatal(err)
		}
	}
}
