package engine

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestBuilder(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 80, time.FixedZone("east", 3600))
	got := string(NewObject().
		Str("s", "a\"\n<é").Int("i", -3).Uint("u", 18446744073709551615).Bool("b", true).Null("n").
		Raw("r", jsontext.Value(`{"x": 1.0}`)).Raw("r0", nil).
		Time("t", at).Time("t0", time.Time{}).
		Strs("l", []string{"a", "b"}).Strs("l0", nil).
		StrMap("m", map[string]string{"b": "2", "a": "1"}).StrMap("m0", nil).StrMap("m1", map[string]string{}).
		Open("n1").Open("n2").Close().Int("x", 1).Close().Open("n3").Str("{", "{").Int("y", 2).Close().
		Obj("o", NewObject().Int("x", 1)).Obj("o0", NewObject()).
		Value())
	want := `{"s":"a\"\n<é","i":-3,"u":18446744073709551615,"b":true,"n":null,"r":{"x": 1.0},"r0":null,` +
		`"t":"2026-03-04T04:06:07.00000008Z","t0":"","l":["a","b"],"l0":[],"m":{"a":"1","b":"2"},"m0":null,"m1":{},"n1":{"n2":{},"x":1},"n3":{"{":"{","y":2},"o":{"x":1},"o0":{}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(NewObject().Value()); got != "{}" {
		t.Errorf("the empty object is %s", got)
	}
}

func FuzzBuilder(f *testing.F) {
	f.Add("name", "value")
	f.Add("\xff\"", "\u2028\x00")
	f.Add("\xc2", "\xb2")
	f.Fuzz(func(t *testing.T, name, value string) {
		raw := NewObject().Str(name, value).Value()
		var back map[string]string
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if utf8.ValidString(name) && utf8.ValidString(value) && back[name] != value {
			t.Errorf("%q came back as %q", value, back[name])
		}
	})
}

func TestJSON(t *testing.T) {
	got, err := JSON(map[string]any{"b": 1, "a": []string{"x"}})
	if string(got) != `{"a":["x"],"b":1}` || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	_, err = JSON(map[string]any{canary: func() {}})
	if !errs.Is(err, errs.Internal) || strings.Contains(err.Error(), canary) {
		t.Errorf("a value that JSON does not have: %v", err)
	}
}

func TestNotFound(t *testing.T) {
	if res := NotFound(); res.Raw.Status != 404 || strings.TrimSpace(string(res.Raw.Body)) != `{"errors":[]}` {
		t.Errorf("%+v", res.Raw)
	}
}

func BenchmarkBuilder(b *testing.B) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 80, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		NewObject().Str("a", "b").Time("t", at).Bool("c", false).Int("v", 3).Value()
	}
}
