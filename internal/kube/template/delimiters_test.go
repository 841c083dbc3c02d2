package template

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Other delimiters leave the usual ones alone, and take nothing away from what bounds
// and silences a template. (facts/external-secrets.md §1.6)
func TestDelimiters(t *testing.T) {
	angles := func(limits Limits) *Run { return NewRun(values(), limits, still).Delimited(Delimiters{"<<", ">>"}) }
	for source, want := range map[string]string{
		`<< .user >>:{{ .password }}`:                                "app:{{ .password }}",
		"a <<- \" b\" ->> c":                                         "a bc",
		`<< define "x" >>[<< . >>]<< end >><< template "x" .user >>`: "[app]",
		`{{ nonsense | of | others }}<</* a comment */>>`:            "{{ nonsense | of | others }}",
	} {
		if out, err := angles(Limits{}).Text("t", source); err != nil || string(out) != want {
			t.Errorf("%s: %q, %v; want %q", source, out, err, want)
		}
	}
	for source, kind := range map[string]errs.Kind{
		`<< range 1000000000 >><< end >>`: errs.TooLarge,
		`<< repeat 1000000000 .user >>`:   errs.TooLarge,
		strings.Repeat("<< 1 >>", 6000):   errs.TooLarge,
		`<< fail .password >>`:            errs.Invalid,
		`<< .password `:                   errs.Invalid,
		`<< "` + canary + `" 7 >>`:        errs.Invalid,
		`<< _tick 1 >>`:                   errs.Invalid,
		`<< env "HOME" >>`:                errs.Invalid,
	} {
		out, err := angles(Limits{}).Text("t", source)
		if !errs.Is(err, kind) || strings.Contains(err.Error(), canary) {
			t.Errorf("%.40s: %q, %v; want %v", source, out, err, kind)
		}
	}
	if out, err := angles(Limits{}).With(map[string]string{"user": "other"}).Text("t", `<< .user >>`); err != nil || string(out) != "other" {
		t.Errorf("over other values it is %q, %v", out, err)
	}
	one := angles(Limits{Output: 4})
	if _, err := one.Text("a", "abc"); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Delimited(Delimiters{}).Text("b", "abc"); !errs.Is(err, errs.TooLarge) {
		t.Errorf("other delimiters have a budget of their own: %v", err)
	}
}

func TestDelimitersThatCannotBe(t *testing.T) {
	for _, d := range []Delimiters{{}, {"<<", ">>"}, {"[[", "]]"}, {"$(", ")"}} {
		if err := d.Check(); err != nil {
			t.Errorf("%q: %v", d, err)
		}
	}
	for _, d := range []Delimiters{{"<<", ""}, {"", ">>"}, {"%%", "%%"}, {"< ", ">"}, {`"`, ">"}, {strings.Repeat("<", 17), ">"}} {
		if err := d.Check(); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", d, err)
		}
	}
}
