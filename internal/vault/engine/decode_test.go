package engine

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// decodeOne decodes the field "f" of {"f": raw} by type and shows the result.
func decodeOne(b Body, as FieldType) (string, error) {
	d := b.Decode()
	var got any
	switch as {
	case String:
		got = d.String("f", "def")
	case Int:
		got = d.Int("f", -7)
	case Bool:
		got = d.Bool("f", true)
	case Duration:
		got = d.Duration("f", 7*time.Second)
	case Strings:
		got = d.Strings("f")
	case Map:
		got = d.StringMap("f")
	case Object:
		got = string(d.Object("f"))
	}
	return fmt.Sprintf("%v", got), d.Err()
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		as   FieldType
		raw  string
		want string
	}{
		{String, `"x"`, "x"}, {String, `""`, ""}, {String, `1.50`, "1.50"}, {String, `true`, "true"}, {String, `null`, "def"},
		{String, `"\u00e9\n\""`, "é\n\""}, {String, `"é"`, "é"},
		{Int, `3`, "3"}, {Int, `"3"`, "3"}, {Int, `" 3 "`, "3"}, {Int, `3.0`, "3"}, {Int, `"3e2"`, "300"}, {Int, `-3`, "-3"}, {Int, `""`, "-7"}, {Int, `null`, "-7"},
		{Int, `9223372036854775807`, "9223372036854775807"},
		{Bool, `true`, "true"}, {Bool, `false`, "false"}, {Bool, `"false"`, "false"}, {Bool, `0`, "false"}, {Bool, `"1"`, "true"}, {Bool, `""`, "true"}, {Bool, `null`, "true"},
		{Duration, `30`, "30s"}, {Duration, `"30"`, "30s"}, {Duration, `"1h15m"`, "1h15m0s"}, {Duration, `"2d"`, "48h0m0s"}, {Duration, `"1d12h"`, "36h0m0s"},
		{Duration, `-1`, "-1s"}, {Duration, `"-1d"`, "-24h0m0s"}, {Duration, `"500ms"`, "500ms"}, {Duration, `0`, "0s"}, {Duration, `""`, "7s"}, {Duration, `null`, "7s"},
		{Strings, `["a","b"]`, "[a b]"}, {Strings, `"a, b,,"`, "[a b]"}, {Strings, `[" a ",1,true]`, "[a 1 true]"}, {Strings, `""`, "[]"}, {Strings, `[]`, "[]"}, {Strings, `7`, "[7]"}, {Strings, `null`, "[]"},
		{Map, `{"a":"1","b":2,"c":true}`, "map[a:1 b:2 c:true]"}, {Map, `"{\"a\":\"1\"}"`, "map[a:1]"}, {Map, `" {\"a\": \"x=y\"} "`, "map[a:x=y]"}, {Map, `"a=1,b=x=y"`, "map[a:1 b:x=y]"}, {Map, `["a=1"]`, "map[a:1]"}, {Map, `{}`, "map[]"}, {Map, `null`, "map[]"},
		{Object, `{"a": 1}`, `{"a": 1}`}, {Object, `null`, ""},
	} {
		got, err := decodeOne(body(t, `{"f":`+c.raw+`}`), c.as)
		if got != c.want || err != nil {
			t.Errorf("%s %s: %q, %v, want %q", c.as, c.raw, got, err, c.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct {
		as  FieldType
		raw string
	}{
		{String, `{}`}, {String, `["` + canary + `"]`},
		{Int, `"` + canary + `"`}, {Int, `3.5`}, {Int, `1e99`}, {Int, `9223372036854775808`}, {Int, `true`}, {Int, `[1]`}, {Int, `"NaN"`}, {Int, `"Inf"`}, {Int, `"0x10"`},
		{Bool, `"` + canary + `"`}, {Bool, `2`}, {Bool, `{}`},
		{Duration, `"` + canary + `"`}, {Duration, `1.5`}, {Duration, `"1d-2h"`}, {Duration, `"1d+2h"`}, {Duration, `"1.5d"`}, {Duration, `"d"`}, {Duration, `9223372036854775807`}, {Duration, `"999999999d"`}, {Duration, `"106751d23h47m17s"`}, {Duration, `true`}, {Duration, `{}`},
		{Strings, `{"a":"` + canary + `"}`}, {Strings, `[["` + canary + `"]]`}, {Strings, `[null]`},
		{Map, `"` + canary + `"`}, {Map, `{"a":{"b":"` + canary + `"}}`}, {Map, `{"a":null}`}, {Map, `["` + canary + `"]`}, {Map, `3`},
		{Object, `"` + canary + `"`}, {Object, `[]`},
	} {
		got, err := decodeOne(body(t, `{"f":`+c.raw+`}`), c.as)
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), `field "f" must be `) {
			t.Errorf("%s %s: %q, %v, want an Invalid error that names the field", c.as, c.raw, got, err)
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("%s %s: the error quotes the value: %v", c.as, c.raw, err)
		}
	}
}

func TestDecodeKeepsFirstError(t *testing.T) {
	d := body(t, `{"a":"x","b":"y","c":5}`).Decode()
	if d.Int("a", 1) != 1 || d.Bool("b", true) != true || d.Int("c", 0) != 5 {
		t.Error("bad fields must give their defaults, good ones their values")
	}
	if err := d.Err(); err == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("%v, want the error of a", err)
	}
	if !d.Has("c") || d.Has("d") || string(d.Raw("c")) != "5" || d.Raw("d") != nil {
		t.Error("Has or Raw is wrong")
	}
}

func TestInts(t *testing.T) {
	for raw, want := range map[string][]int64{`[1,"2",3.0]`: {1, 2, 3}, `"4, 5"`: {4, 5}, `6`: {6}, `[]`: nil, `""`: nil, `null`: nil} {
		d := body(t, `{"f":`+raw+`}`).Decode()
		if got := d.Ints("f"); !slices.Equal(got, want) || d.Err() != nil {
			t.Errorf("%s: %v, %v, want %v", raw, got, d.Err(), want)
		}
	}
	for _, raw := range []string{`["x"]`, `"1,x"`, `{}`, `[1.5]`, `[[1]]`, `[null]`, `true`} {
		d := body(t, `{"f":`+raw+`}`).Decode()
		if got := d.Ints("f"); got != nil || !errs.Is(d.Err(), errs.Invalid) {
			t.Errorf("%s: %v, %v, want Invalid", raw, got, d.Err())
		}
	}
}

func TestParseDurationLimits(t *testing.T) {
	if got, ok := ParseDuration("106751d"); !ok || got != 106751*24*time.Hour {
		t.Errorf("292 years: %v %v", got, ok)
	}
	if got, ok := ParseDuration("9223372036"); !ok || got != 9223372036*time.Second {
		t.Errorf("the most seconds: %v %v", got, ok)
	}
	for _, s := range []string{"", "9223372037", "106752d", "--1d", "1d1d", "-", "1dd", "1 h"} {
		if got, ok := ParseDuration(s); ok {
			t.Errorf("%q: %v, want none", s, got)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"1d12h", "-1d", "90", "1.5h", "1e3", "106751d23h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseDuration(s)
		if !ok {
			return
		}
		if negative := strings.HasPrefix(s, "-"); got != 0 && (got < 0) != negative {
			t.Errorf("%q is %v", s, got)
		}
		if again, ok := ParseDuration(got.String()); !ok || again != got {
			if got != math.MinInt64 {
				t.Errorf("%q is %v, which reads back as %v %v", s, got, again, ok)
			}
		}
	})
}

// No decoder may panic, fail with another kind, or show what it refused.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`"x"`, `1.0`, `[1,"2"]`, `{"a":"b"}`, `"a=b,c=d"`, `"1d12h"`, `null`, `[[]]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		b, err := ParseBody([]byte(`{"f":` + raw + `}`))
		if err != nil {
			return
		}
		for as := String; as <= Map; as++ {
			got, err := decodeOne(b, as)
			if err == nil {
				continue
			}
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%s: kind of %v", as, err)
			}
			if len(raw) > 12 && strings.Contains(err.Error(), strings.Trim(raw, `"`)) {
				t.Errorf("%s: %v quotes %s (%s)", as, err, raw, got)
			}
		}
	})
}

func TestStringMapIsACopy(t *testing.T) {
	b := body(t, `{"f":{"a":"b"}}`)
	d := b.Decode()
	m := d.StringMap("f")
	m["a"] = "changed"
	if again := d.StringMap("f"); !maps.Equal(again, map[string]string{"a": "b"}) {
		t.Errorf("decoding again gave %v", again)
	}
}

func TestObjectOrText(t *testing.T) {
	for raw, want := range map[string]string{
		`{"a":1}`: `{"a":1}`, `"{\"a\":[1]}"`: `{"a":[1]}`, `" {} "`: `{}`, `null`: "",
		`"{"`: "error", `"a=b"`: "error", `["{}"]`: "error", `"{} {}"`: "error", `7`: "error",
	} {
		d := body(t, `{"f":`+raw+`}`).Decode()
		got := string(d.ObjectOrText("f"))
		if d.Err() != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: %s (%v), want %s", raw, got, d.Err(), want)
		}
	}
}

// Class of CVE-2025-6203: a string is one token of a body, whatever it holds, so
// that an object within one is bounded by itself.
func TestCVE20256203ObjectWithinText(t *testing.T) {
	deep := `{\"a\":` + strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1) + `}`
	many := `{\"a\":[0` + strings.Repeat(",0", MaxTokens) + `]}`
	twice := `{\"a\":1,\"a\":2}`
	for name, text := range map[string]string{"deep": deep, "many": many, "twice": twice} {
		d := body(t, `{"f":"`+text+`"}`).Decode()
		if got := d.ObjectOrText("f"); got != nil || !errs.Is(d.Err(), errs.Invalid) {
			t.Errorf("%s: taken (%v)", name, d.Err())
		}
		d = body(t, `{"f":"`+text+`"}`).Decode()
		if got := d.StringMap("f"); len(got) > 0 || !errs.Is(d.Err(), errs.Invalid) {
			t.Errorf("%s: taken as a map (%v)", name, d.Err())
		}
	}
}
