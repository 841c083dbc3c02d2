package record

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestLimits(t *testing.T) {
	many := map[string]string{}
	for i := range maxMetadata + 1 {
		many[fmt.Sprint(i)] = "v"
	}
	for name, m := range map[string]map[string]string{
		"too many": many, "empty key": {"": "v"}, "long key": {strings.Repeat("k", maxKey+1): "v"},
		"long value": {"k": strings.Repeat("v", maxValue+1)}, "control": {"k": "a\x00"}, "broken": {"k": "\xff"},
	} {
		if err := checkMetadata("metadata", m); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := checkMetadata("metadata", map[string]string{strings.Repeat("k", maxKey): strings.Repeat("é", maxValue/2)}); err != nil {
		t.Error(err)
	}
	err := checkMetadata("metadata", map[string]string{"k": "canary\x01"})
	if strings.Contains(err.Error(), "canary") {
		t.Error("an error quotes a value")
	}
}

func TestRecordsComeBack(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	e := &Entity{
		ID: "i", Name: "n", Policies: []string{"p"}, Metadata: map[string]string{"k": "v"}, Disabled: true,
		Aliases: []Alias{{ID: "a", Accessor: "x", Name: "N", Metadata: map[string]string{"k": "v"}, Custom: map[string]string{"c": "v"},
			Created: at, Updated: at, MergedFrom: []string{"m"}, Ephemeral: true, Origin: "o"}},
		Groups: []string{"g"}, External: []External{{"x", []string{"h"}}}, Merged: []string{"m"}, Created: at, Updated: at, Seen: 1, Until: 2, Automatic: true,
	}
	for _, v := range []reflect.Value{reflect.ValueOf(*e), reflect.ValueOf(e.Aliases[0])} {
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("the test leaves %s zero: it proves nothing for it", v.Type().Field(i).Name)
			}
		}
	}
	b, err := Encode("an entity", e)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeEntity(b); err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range [][]byte{nil, {2}, {1}, []byte("\x01{}"), []byte("\x02{\"id\":\"x\",\"name\":\"y\"}"), b[:len(b)-1]} {
		if _, err := DecodeEntity(bad); !errs.Is(err, errs.Internal) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := Encode("an entity", &Entity{Metadata: map[string]string{"k": strings.Repeat("v", maxRow)}}); !errs.Is(err, errs.TooLarge) {
		t.Error(err)
	}
}

func FuzzDecodeEntity(f *testing.F) {
	b, _ := Encode("an entity", &Entity{ID: "i", Name: "n", Aliases: []Alias{{ID: "a"}}})
	f.Add(b)
	f.Add([]byte("\x01{\"id\":\"i\",\"name\":\"n\",\"external\":[{}]}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEntity(b)
		if err != nil {
			return
		}
		e.DirectGroups()
		e.Collectable()
		again, err := Encode("an entity", e)
		if errs.Is(err, errs.TooLarge) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if back, err := DecodeEntity(again); err != nil || back.ID != e.ID {
			t.Errorf("%+v became %+v, %v", e, back, err)
		}
	})
}

func FuzzDecodeGroup(f *testing.F) {
	b, _ := Encode("a group", &Group{ID: "i", Name: "n", Alias: &Alias{ID: "a"}})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, err := DecodeGroup(b); err == nil {
			if _, err := Encode("a group", g.Clone()); err != nil && !errs.Is(err, errs.TooLarge) {
				t.Error(err)
			}
		}
	})
}

func FuzzNames(f *testing.F) {
	f.Add("Ann", "a/b%")
	f.Add("\u212a", "k")
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.Contains(Escape(a), "/") {
			t.Errorf("%q", Escape(a))
		}
		if (Fold(a) == Fold(b)) != (Escape(a) == Escape(b)) && strings.ToValidUTF8(a, "") == a && strings.ToValidUTF8(b, "") == b {
			t.Errorf("%q and %q are the same in one way only", a, b)
		}
		if Fold(Fold(a)) != Fold(a) {
			t.Errorf("%q", a)
		}
	})
}
