package push

import (
	"context"
	"strconv"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// versions is a secret in memory. Before a write that has an entry in crossing,
// somebody else writes that.
type versions struct {
	all      []string
	crossing map[int]string // by how many writes came before
	lost     bool           // each write is followed by another's at once
	writes   int
}

func (v *versions) Get(_ context.Context, version string) (provider.Value, error) {
	n := len(v.all)
	if version != "" {
		n, _ = strconv.Atoi(version)
	}
	if n < 1 {
		return provider.Value{}, errs.New(errs.NotExist, "none")
	}
	return provider.Value{Data: redact.FromString(v.all[n-1]), Version: strconv.Itoa(n)}, nil
}

func (v *versions) Put(_ context.Context, data redact.Secret) (made, replaced string, err error) {
	if theirs, ok := v.crossing[v.writes]; ok {
		v.all = append(v.all, theirs)
	}
	v.writes++
	v.all = append(v.all, data.RevealString())
	made, replaced = strconv.Itoa(len(v.all)), strconv.Itoa(len(v.all)-1)
	if len(v.all) == 1 {
		replaced = ""
	}
	if v.lost {
		replaced = made
	}
	return made, replaced, nil
}

func TestSet(t *testing.T) {
	for name, c := range map[string]struct {
		v        versions
		property string
		want     string
		writes   int
		kind     errs.Kind
	}{
		"first":                {versions{}, "a", `{"a":"1"}`, 1, 0},
		"whole":                {versions{all: []string{"x"}}, "", "1", 1, 0},
		"whole, the same":      {versions{all: []string{"1"}}, "", "1", 0, 0},
		"the same":             {versions{all: []string{`{"b":2.50,"a":"1"}`}}, "a", `{"b":2.50,"a":"1"}`, 0, 0},
		"numbers stay":         {versions{all: []string{`{"b":2.50}`}}, "a", `{"a":"1","b":2.50}`, 1, 0},
		"crossed":              {versions{all: []string{`{}`}, crossing: map[int]string{0: `{"t":"x"}`}}, "a", `{"a":"1","t":"x"}`, 2, 0},
		"crossed, to the same": {versions{all: []string{`{}`}, crossing: map[int]string{0: `{"a":"1"}`}}, "a", `{"a":"1"}`, 1, 0},
		"crossed twice":        {versions{all: []string{`{}`}, crossing: map[int]string{0: `{"t":"x"}`, 1: `{"t":"y","a":"1"}`}}, "a", `{"t":"y","a":"1"}`, 3, 0},
		"whole, crossed":       {versions{all: []string{"x"}, crossing: map[int]string{0: "y"}}, "", "1", 1, 0},
		"crossed always":       {versions{all: []string{`{}`}, crossing: map[int]string{0: `{"t":"0"}`, 1: `{"t":"1"}`, 2: `{"t":"2"}`, 3: `{"t":"3"}`}}, "a", "", 4, errs.Conflict},
		"overtaken":            {versions{all: []string{`{}`}, lost: true}, "a", "", 1, errs.Conflict},
		"no object":            {versions{all: []string{`[1]`}}, "a", "", 0, errs.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			err := Set(t.Context(), &c.v, c.property, redact.FromString("1"))
			if c.kind != 0 && !errs.Is(err, c.kind) || c.kind == 0 && err != nil {
				t.Fatalf("%v, want %v", err, c.kind)
			}
			if c.v.writes != c.writes {
				t.Errorf("%d writes, want %d", c.v.writes, c.writes)
			}
			if got := c.v.all[len(c.v.all)-1]; c.kind == 0 && got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestUnset(t *testing.T) {
	for have, want := range map[string]struct {
		empty bool
		left  string
		kind  errs.Kind
	}{
		`{"a":"1","b":"2"}`: {false, `{"b":"2"}`, 0}, `{"a":"1"}`: {true, `{"a":"1"}`, 0}, `{}`: {true, `{}`, 0},
		`{"b":"2"}`: {false, `{"b":"2"}`, 0}, `text`: {false, `text`, errs.Invalid},
	} {
		v := &versions{all: []string{have}}
		empty, err := Unset(t.Context(), v, "a")
		if empty != want.empty || v.all[len(v.all)-1] != want.left || want.kind != 0 && !errs.Is(err, want.kind) || want.kind == 0 && err != nil {
			t.Errorf("%s: empty %v, %s (%v)", have, empty, v.all[len(v.all)-1], err)
		}
	}
}

// What is there is what others wrote, and may be anything.
func FuzzSet(f *testing.F) {
	f.Add(`{"a":1}`, "a", "v")
	f.Add(`null`, "b.c", "\x00<")
	f.Add(`{"a":{"b":[1e400,"\ud800"]}}`, "x", `"`)
	f.Fuzz(func(t *testing.T, have, property, value string) {
		v := &versions{all: []string{have}}
		if Set(t.Context(), v, property, redact.FromString(value)) != nil {
			return
		}
		now, _ := v.Get(t.Context(), "")
		if property == "" {
			return
		}
		got, err := now.Map()
		part, ok := got[property]
		if err != nil || !ok && property != "" || part.RevealString() != value {
			t.Errorf("%q with %q=%q became %q (%v)", have, property, value, now.Data.Reveal(), err)
		}
	})
}
