package shelf

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/redact"
)

func values(t testing.TB, text string) Values {
	t.Helper()
	var v Values
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestValues(t *testing.T) {
	for _, c := range []struct{ live, change, with, of string }{
		{`{"a":"1","b":2}`, `{"a":"x"}`, `{"a":"x","b":2}`, `{"a":"1"}`},
		{`{"a":"1"}`, `{"a":null,"b":"y"}`, `{"b":"y"}`, `{"a":"1","b":null}`},
		{`null`, `{"a":"x","b":null}`, `{"a":"x"}`, `{"a":null,"b":null}`},
		{`{"n":1234567890123456789,"o":{"x":1}}`, `{"o":{"y":2}}`, `{"n":1234567890123456789,"o":{"y":2}}`, `{"o":{"x":1}}`},
	} {
		live, change := values(t, c.live), values(t, c.change)
		with, of := live.with(change), live.of(change)
		if got, _ := json.Marshal(with); string(got) != c.with {
			t.Errorf("%s with %s is %s", c.live, c.change, got)
		}
		if got, _ := json.Marshal(of); string(got) != c.of {
			t.Errorf("%s has of %s: %s", c.live, c.change, got)
		}
		if !with.Has(change) || live.Has(change) || !live.Has(of) {
			t.Errorf("%s and %s: what is there and what is not", c.live, c.change)
		}
		if back, _ := json.Marshal(with.with(of)); c.live != "null" && string(back) != c.live {
			t.Errorf("%s changed and changed back is %s", c.live, back)
		}
	}
	if !values(t, `{"a":"<"}`).Has(Values{"a": json.RawMessage(`"\u003c"`)}) {
		t.Error("the same value in other bytes is another one")
	}
}

// No value is printed, be it of Values or of a record.
func TestNothingIsPrinted(t *testing.T) {
	v := Values{"a": Text(redact.FromString("canary-7"))}
	r := &record{Holder: "team/r", New: v, Old: v}
	if text := fmt.Sprintf("%v %+v %#v %s %v %+v %#v %v", v, v, v, v, r, r, r, struct{ V Values }{v}); strings.Contains(text, "canary-7") {
		t.Errorf("a value is printed: %s", text)
	}
	if s, ok := v.Secret("a"); !ok || s.RevealString() != "canary-7" {
		t.Error("the value is not what it was made from")
	}
}

func FuzzValues(f *testing.F) {
	f.Add(`{"a":"1"}`, `{"a":null}`)
	f.Add(`{}`, `{"a":[1,{"b":null}]}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		var live, change Values
		if json.Unmarshal([]byte(a), &live) != nil || json.Unmarshal([]byte(b), &change) != nil {
			return
		}
		with := live.with(change)
		if !with.Has(change) {
			t.Errorf("%s with %s does not have it", a, b)
		}
		if restored := with.with(live.of(change)); !restored.Has(live.of(change)) {
			t.Errorf("%s with %s is not restored", a, b)
		}
	})
}
