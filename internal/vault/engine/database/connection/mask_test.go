package connection

import (
	"strings"
	"testing"
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
		if got := MaskURL(in); got != want {
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
		_ = MaskURL(before + "canary-value" + after) // never a panic
		for _, url := range []string{"postgresql://user:canary-value@" + after, "mysql://u:canary-value@tcp(h)/" + after} {
			if strings.Contains(after, "canary") {
				continue
			}
			if strings.Contains(MaskURL(url), "canary-value") {
				t.Errorf("%q is shown as %q", url, MaskURL(url))
			}
		}
	})
}
