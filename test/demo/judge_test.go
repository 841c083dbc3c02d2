package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/test/demo/trail"
)

const (
	readByApp = `{"type":"response","auth":{"display_name":"x","metadata":{"service_account_name":"%s","service_account_namespace":"my-app"}},"request":{"operation":"read","path":"secret/data/my-app/config"}%s}`
	refused   = `{"type":"response","request":{"operation":"update","path":"auth/kubernetes/login","data":{"jwt":"hmac-sha256:00"}},"error":"not authorized"}`
	byRoot    = `{"type":"response","auth":{"display_name":"root"},"request":{"operation":"update","path":"secret/data/my-app/config"}}`
)

func TestJudge(t *testing.T) {
	app := fmt.Sprintf(readByApp, "my-app", "")
	for name, c := range map[string]struct {
		lines []string
		found int
		want  string // in the error; empty: none
	}{
		"all happened":       {[]string{byRoot, app, refused, app}, 2, ""},
		"a stranger refused": {[]string{app, refused, fmt.Sprintf(readByApp, "other-app", `,"error":"denied"`)}, 2, ""},
		"a stranger reads":   {[]string{app, refused, fmt.Sprintf(readByApp, "other-app", "")}, 2, `"my-app/other-app" had the secret`},
		"nobody reads":       {[]string{byRoot, refused}, 2, "0 reads"},
		"nobody is refused":  {[]string{app}, 2, "0 refused"},
		"no hash":            {[]string{app, refused}, 0, "0 lines"},
	} {
		log, err := trail.Read(strings.NewReader(strings.Join(c.lines, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		o, err := judge(log, c.found)
		if c.want == "" {
			if err != nil || len(o.Notes) != 3 {
				t.Errorf("%s: %+v, %v", name, o, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	log, err := trail.Read(strings.NewReader(strings.Join([]string{byRoot, app, refused, app}, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	o, err := judge(log, 3)
	if err != nil || !strings.Contains(strings.Join(o.Notes, "\n"), "my-app/my-app read secret/data/my-app/config twice") ||
		!strings.HasPrefix(o.Text, "4 lines in the log, which hold 1 values") {
		t.Errorf("outcome: %+v, %v", o, err)
	}
}
