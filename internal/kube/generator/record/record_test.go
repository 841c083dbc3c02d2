package record

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestRoundTrip(t *testing.T) {
	r := Record{
		{Of: "a", Spec: "s", Object: "uid/1", State: "gen-x-1", Made: 1700000000, Keys: map[string]string{"password": "mac"}},
		{Of: "b", Spec: "s", Object: "uid/2", Asked: "m", Made: 1700000001, Expires: 1700003600},
	}
	text, err := r.Format()
	if err != nil {
		t.Fatal(err)
	}
	if got := Parse(text); !reflect.DeepEqual(got, r) {
		t.Errorf("%+v, want %+v", got, r)
	}
	if e, ok := r.Find("b"); !ok || e.Object != "uid/2" {
		t.Errorf("%+v %t", e, ok)
	}
	for key, want := range map[string]bool{Annotation: true, Prefix + "es-1": true, "other": false} {
		if got := Names(map[string]string{key: text}, "gen-x-1"); got != want {
			t.Errorf("%s: names it: %t", key, got)
		}
	}
	if Names(map[string]string{Annotation: text}, "gen-x-2") || Names(nil, "gen-x-1") {
		t.Error("it names a state that it does not")
	}
}

func TestNothingAndTooMuch(t *testing.T) {
	if text, err := (Record{}).Format(); text != "" || err != nil {
		t.Errorf("%q %v", text, err)
	}
	if _, err := (Record{{Of: strings.Repeat("x", maxText)}}).Format(); !errs.Is(err, errs.TooLarge) {
		t.Error(err)
	}
}

func TestTerms(t *testing.T) {
	at := time.Unix(1700000000, 0)
	for name, c := range map[string]struct {
		term       Term
		due, renew time.Duration // from at; 0: never
	}{
		"for ever":              {Term{Since: at}, 0, 0},
		"for an hour":           {Term{Since: at, Expires: at.Add(time.Hour)}, 40 * time.Minute, 0},
		"renewed each hour":     {Term{Since: at, Expires: at.Add(time.Hour), Renewable: true}, 50 * time.Minute, 40 * time.Minute},
		"over when it was made": {Term{Since: at, Expires: at.Add(-time.Hour)}, -40 * time.Minute, 0},
	} {
		for what, got := range map[time.Duration]time.Time{c.due: c.term.Due(), c.renew: c.term.Renew()} {
			if want := at.Add(what); what == 0 && !got.IsZero() || what != 0 && !got.Equal(want) {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
	}
}

func TestAhead(t *testing.T) {
	at := time.Unix(1700000000, 0)
	if term := (Term{Since: at}); !term.Ahead(at.Add(-Skew-1)) || term.Ahead(at.Add(-Skew)) || term.Ahead(at) {
		t.Error("what is ahead is not told from what is not")
	}
	got := Term{Since: at, Expires: at.Add(time.Hour), Renewable: true}.From(at.Add(-time.Minute))
	if got != (Term{Since: at.Add(-time.Minute), Expires: at.Add(59 * time.Minute), Renewable: true}) {
		t.Errorf("%+v", got)
	}
	if got := (Term{Since: at}).From(at.Add(time.Minute)); !got.Expires.IsZero() {
		t.Errorf("what never ends ends at %s", got.Expires)
	}
}

// An annotation may be written by anybody who may write the Secret.
func FuzzParse(f *testing.F) {
	f.Add(`[{"of":"a","keys":{"k":"v"},"state":"s"}]`)
	f.Add(`{}`)
	f.Add(`[null]`)
	f.Fuzz(func(t *testing.T, text string) {
		r := Parse(text)
		again, err := r.Format()
		if err == nil && !reflect.DeepEqual(len(Parse(again)), len(r)) {
			t.Errorf("%q has another length when it is read again", text)
		}
	})
}
