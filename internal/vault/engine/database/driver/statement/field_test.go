package statement

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

func TestStatements(t *testing.T) {
	script := `CREATE ROLE "{{name}}"; GRANT x TO "{{name}}"`
	b64 := base64.StdEncoding.EncodeToString
	for in, want := range map[string][]string{
		`"` + strings.ReplaceAll(script, `"`, `\"`) + `"`: {script},
		`["a b","c, d"]`:                         {"a b", "c, d"},
		`"[\"a b\",\"c\"]"`:                      {"a b", "c"},
		`["[\"~*\", \"+@read\"]"]`:               {"~*", "+@read"},
		`"` + b64([]byte(script)) + `"`:          {script},
		`"` + b64([]byte(`["a b","c d"]`)) + `"`: {"a b", "c d"},
		`""`:                                     {},
		`[]`:                                     {},
		`"+@all"`:                                {"+@all"},
		`"abcd"`:                                 {"abcd"},
	} {
		body, err := engine.ParseBody([]byte(`{"s":` + in + `}`))
		if err != nil {
			t.Fatal(in, err)
		}
		got, err := Decode(&engine.Request{Body: body}, []string{"old"}, "s")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{`7`, `{"a":1}`, `[1]`, `"` + strings.Repeat("x ", maxScript) + `"`} {
		body, err := engine.ParseBody([]byte(`{"s":` + in + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Decode(&engine.Request{Body: body}, nil, "s"); err == nil {
			t.Errorf("%.20s: %q", in, got)
		}
	}
	if got, err := Decode(&engine.Request{}, []string{"old"}, "s"); err != nil || len(got) != 1 {
		t.Errorf("left out: %q, %v", got, err)
	}
}
