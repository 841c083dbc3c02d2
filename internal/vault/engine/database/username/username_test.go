package username

import (
	"crypto/rand"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

var source = Source{Random: rand.Reader, Now: time.UnixMilli(1_700_000_000_123)}

func TestFunctions(t *testing.T) {
	d := Data{DisplayName: "Kubernetes My-App", RoleName: "read only"}
	for in, want := range map[string]string{
		`{{.DisplayName}}_{{.RoleName}}`:                   `Kubernetes My-App_read only`,
		`{{.DisplayName | truncate 4}}`:                    `Kube`,
		`{{"äöü" | truncate 3}}`:                           `ä`,
		`{{.DisplayName | truncate_sha256 12}}`:            `Kube[0-9a-f]{8}`,
		`{{"short" | truncate_sha256 12}}`:                 `short`,
		`{{.DisplayName | uppercase | replace " " "_"}}`:   `KUBERNETES_MY-APP`,
		`{{.DisplayName | lowercase}}`:                     `kubernetes my-app`,
		`{{"" | sha256}}`:                                  `e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`,
		`{{"a?" | base64}}`:                                `YT8=`,
		`{{unix_time}}-{{unix_time_millis}}`:               `1700000000-1700000000123`,
		`{{timestamp "2006-01-02"}}`:                       `2023-11-14`,
		`{{uuid}}`:                                         `[0-9a-f-]{36}`,
		`{{random 3}}-{{random 20}}`:                       `[A-Za-z0-9]{3}-[A-Za-z0-9]{20}`,
		`{{printf "%s-%05d" "x" 7}}`:                       `x-00007`,
		`{{if eq .RoleName "read only"}}y{{else}}n{{end}}`: `y`,
	} {
		got, err := Template(in).Make(d, source)
		if err != nil || !regexp.MustCompile(`^(?:`+want+`)$`).MatchString(got) {
			t.Errorf("%s: %q, %v, want %s", in, got, err, want)
		}
	}
}

// A template costs little, whatever it says.
func TestRefusedTemplates(t *testing.T) {
	for in, want := range map[string]string{
		``:                                    "empty name",
		`{{`:                                  "username_template",
		`{{.Password}}`:                       "Password",
		`{{range 1000000000}}x{{end}}`:        "must not hold range",
		`{{define "x"}}y{{end}}x`:             "must not hold range",
		`{{with .}}{{range 9}}{{end}}{{end}}`: "must not hold range",
		`{{printf "%999999999d" 1}}`:          "three digits",
		`{{printf "%*d" 999999999 1}}`:        "three digits",
		`{{printf "%.9999d" 1}}`:              "three digits",
		`{{random 100000}}`:                   "random takes",
		`{{random 0}}`:                        "random takes",
		`{{random 512}}x`:                     "longer than",
		`{{truncate 0 "x"}}`:                  "truncate takes",
		`{{truncate_sha256 8 "x"}}`:           "truncate_sha256 takes",
		`{{replace "" (printf "%999d" 1) (printf "%999d" 1)}}`: "longer than",
		`{{"\x00"}}`:                       "NUL",
		strings.Repeat("x", MaxTemplate+1): "the limit is",
		`{{.DisplayName}}`:                 "random or uuid",
		`{{.RoleName}}-{{unix_time}}`:      "random or uuid",
		`{{printf "%s-%s" .DisplayName (random 20) | truncate 8}}`: "truncate",
	} {
		err := Template(in).Check(source)
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", in, err, want)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add(`{{ printf "v-%s-%s" (.DisplayName | truncate 8) (random 20) | truncate 63 }}`, "name")
	f.Add(`{{if .RoleName}}{{range 3}}x{{end}}{{end}}`, "")
	f.Fuzz(func(t *testing.T, text, display string) {
		name, err := Template(text).Make(Data{DisplayName: display, RoleName: "r"}, source)
		if err == nil && (name == "" || len(name) > MaxName) {
			t.Errorf("%q makes a name of %d bytes", text, len(name))
		}
		if err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func BenchmarkMake(b *testing.B) {
	const text = Template(`{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20) (unix_time) | truncate 63 }}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := text.Make(Data{DisplayName: "token", RoleName: "readonly"}, source); err != nil {
			b.Fatal(err)
		}
	}
}
