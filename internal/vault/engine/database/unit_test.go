package database

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

func TestMaskURL(t *testing.T) {
	for in, want := range map[string]string{
		"postgresql://{{username}}:{{password}}@h/db":     "postgresql://{{username}}:{{password}}@h/db",
		"postgresql://u:canary@h:5432/db?sslmode=disable": "postgresql://u:*****@h:5432/db?sslmode=disable",
		"postgresql://u:can/ary@h/db":                     "postgresql://u:*****@h/db",
		"postgresql://u:can?a@ry@h/db":                    "postgresql://u:*****@h/db",
		"postgresql://h/db?user=u&password=canary":        "postgresql://h/db?user=u&password=*****",
		"host=h user=u password=canary dbname=x":          "host=h user=u password=***** dbname=x",
		"host=h password = 'can ary' dbname=x":            "host=h password =***** dbname=x",
		"u:canary@tcp(h:3306)/":                           "u:*****@tcp(h:3306)/",
		"{{username}}:{{password}}@tcp(h:3306)/":          "{{username}}:{{password}}@tcp(h:3306)/",
		"u:can:a@ry@unix(/tmp/s)/":                        "u:*****@unix(/tmp/s)/",
		"redis://:canary@h:6379":                          "redis://:*****@h:6379",
		"postgresql://h/db":                               "postgresql://h/db",
		"":                                                "",
	} {
		if got := maskURL(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

func FuzzMaskURL(f *testing.F) {
	f.Add("postgresql://u:", "@h/db")
	f.Add("u:", "@tcp(h)/")
	f.Add("host=h password=", " dbname=x")
	f.Fuzz(func(t *testing.T, before, after string) {
		if len(before)+len(after) > 4<<10 {
			return
		}
		_ = maskURL(before + "canary-value" + after) // never a panic
		for _, url := range []string{"postgresql://user:canary-value@" + after, "mysql://u:canary-value@tcp(h)/" + after} {
			if strings.Contains(after, "canary") {
				continue
			}
			if strings.Contains(maskURL(url), "canary-value") {
				t.Errorf("%q is shown as %q", url, maskURL(url))
			}
		}
	})
}

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
		got, err := statements(&engine.Request{Body: body}, []string{"old"}, "s")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{`7`, `{"a":1}`, `[1]`, `"` + strings.Repeat("x ", maxScript) + `"`} {
		body, err := engine.ParseBody([]byte(`{"s":` + in + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := statements(&engine.Request{Body: body}, nil, "s"); err == nil {
			t.Errorf("%.20s: %q", in, got)
		}
	}
	if got, err := statements(&engine.Request{}, []string{"old"}, "s"); err != nil || len(got) != 1 {
		t.Errorf("left out: %q, %v", got, err)
	}
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{1: 5 * time.Second, 2: 10 * time.Second, 5: 80 * time.Second, 8: 10 * time.Minute, 1000: 10 * time.Minute} {
		if got := backoff(n); got != want {
			t.Errorf("after %d failures %v, want %v", n, got, want)
		}
	}
}

func FuzzParseSchedule(f *testing.F) {
	for _, s := range []string{"* * * * *", "0 3 * * SAT", "*/5 1-3 1,2 * 7", "0 0 30 2 *", "@daily", "TZ=UTC * * * * *", ""} {
		f.Add(s)
	}
	now := time.Date(2026, 2, 28, 23, 59, 59, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		schedule, err := parseSchedule(s)
		if err != nil {
			return
		}
		if next := schedule.Next(now); !next.IsZero() && !next.After(now) {
			t.Errorf("%q: after %v comes %v", s, now, next)
		}
	})
}
