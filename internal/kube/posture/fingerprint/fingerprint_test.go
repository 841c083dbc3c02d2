package fingerprint_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
)

func key(t testing.TB, fill byte) *fingerprint.Key {
	t.Helper()
	k, err := fingerprint.NewKey(bytes.Repeat([]byte{fill}, fingerprint.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const secret = "s3cr3t-pa55/word+x"

// The same password is found in whatever it is put into.
func TestPartsAreFound(t *testing.T) {
	k := key(t, 1)
	want := k.Of([]byte(secret))
	b64 := base64.StdEncoding.EncodeToString
	for name, value := range map[string]string{
		"itself":                       secret,
		"with a newline":               secret + "\n",
		"a URL":                        "postgres://shop:s3cr3t-pa55%2Fword%2Bx@db.example:5432/shop?sslmode=require",
		"a URL without escaping":       "amqp://shop:" + secret + "@mq.example:5672",
		"libpq":                        "host=db user=shop password=" + secret + " dbname=shop",
		"libpq, quoted":                "host=db password='" + secret + "' dbname='my shop'",
		"ADO":                          "Server=db;User Id=shop;Password=" + secret + ";Encrypt=true",
		"JDBC":                         "jdbc:sqlserver://db:1433;user=shop;password=" + secret + ";encrypt=true",
		"JSON":                         `{"db": {"password": "` + secret + `"}}`,
		"JSON in JSON":                 `{"config": "{\"password\": \"` + secret + `\"}"}`,
		"a list":                       `["one", "` + secret + `"]`,
		"YAML":                         "db:\n  user: shop\n  password: " + secret + "\n",
		"an environment file":          "# of the shop\nexport DB_USER=shop\nDB_PASSWORD=\"" + secret + "\"\n",
		"properties":                   "spring.datasource.username = shop\nspring.datasource.password = " + secret + "\n",
		"a URL in an environment file": "A=1\nDATABASE_URL=postgres://shop:" + secret + "@db/shop\n",
		"base64":                       b64([]byte(secret)),
		"base64 of JSON":               b64([]byte(`{"password":"` + secret + `"}`)),
		"a registry's login":           `{"auths":{"ghcr.io":{"auth":"` + b64([]byte("robot:"+secret)) + `"}}}`,
	} {
		prints := k.Prints([]byte(value))
		if !slices.ContainsFunc(prints, func(p fingerprint.Part) bool { return p.Print == want }) {
			t.Errorf("%s: the password is not found in %d parts", name, len(prints))
		}
		for _, p := range prints {
			if strings.Contains(p.Where, "s3cr3t") {
				t.Errorf("%s: a place tells the value: %q", name, p.Where)
			}
		}
	}
}

// Where a part is is said by words that say nothing: a key may be a secret.
func TestPlacesTellNoKeys(t *testing.T) {
	k := key(t, 1)
	for value, want := range map[string]string{
		`{"db": {"password": "long-enough-value"}}`:           "/db/password",
		`{"spring.datasource.password": "long-enough-value"}`: "/spring.datasource.password",
		`{"dbPassword": "long-enough-value"}`:                 "/dbPassword",
		`{"ghp_0123456789abcdef": "long-enough-value"}`:       "/*",
		`{"correcthorsebattery": "long-enough-value"}`:        "/*",
		`{"user8": "long-enough-value"}`:                      "/*",
	} {
		prints := k.Prints([]byte(value))
		if len(prints) != 2 || prints[1].Where != want {
			t.Errorf("%s: %+v, want a part at %q", value, prints, want)
		}
	}
}

func TestWeakValuesAreLeftOut(t *testing.T) {
	k := key(t, 1)
	for _, value := range []string{"", "true", "5432", "admin", "password", "Postgres", "127.0.0.1", "aaaaaaaaaaaaaaaa", " \n\t\n  \n", "1234567", "production\n"} {
		if got := k.Prints([]byte(value)); len(got) != 0 {
			t.Errorf("%q is taken for a secret", value)
		}
	}
	for _, value := range []string{secret, "hunter2!", "0123456789ab", "пароль"} {
		if got := k.Prints([]byte(value)); len(got) == 0 {
			t.Errorf("%q is taken for nothing", value)
		}
	}
}

// Prints are the same each time, in the same order, and others with another key.
func TestKeys(t *testing.T) {
	one, other := key(t, 1), key(t, 2)
	value := []byte(`{"z":"value-number-one","a":"value-number-two","m":{"y":"value-number-three","b":"value-number-four"}}`)
	first := one.Prints(value)
	for range 20 {
		if !slices.Equal(first, one.Prints(value)) {
			t.Fatal("the order of parts changes")
		}
	}
	if len(first) != 5 {
		t.Fatalf("%d parts, want 5", len(first))
	}
	for _, p := range other.Prints(value) {
		if slices.ContainsFunc(first, func(q fingerprint.Part) bool { return q.Print == p.Print }) {
			t.Error("two keys make the same print")
		}
	}
	if one.ID() == other.ID() || one.ID() == "" {
		t.Errorf("keys are called %q and %q", one.ID(), other.ID())
	}
	if _, err := fingerprint.NewKey([]byte("short")); err == nil {
		t.Error("a short key is taken")
	}
}

func TestPrintsAreText(t *testing.T) {
	p := key(t, 1).Of([]byte(secret))
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back fingerprint.Print
	if err := json.Unmarshal(text, &back); err != nil || back != p {
		t.Errorf("%s comes back as %v, %v", text, back, err)
	}
	for _, wrong := range []string{`""`, `"00"`, `"` + strings.Repeat("0", 34) + `"`, `"` + strings.Repeat("z", 32) + `"`} {
		if json.Unmarshal([]byte(wrong), &back) == nil {
			t.Errorf("%s is taken for a fingerprint", wrong)
		}
	}
}

// Large and hostile values are taken whole, within bounds.
func TestBounds(t *testing.T) {
	k := key(t, 1)
	for name, value := range map[string][]byte{
		"a megabyte":       bytes.Repeat([]byte("password=hunter2-hunter2\n"), 40000),
		"binary":           append([]byte{0, 1, 2, 3}, secret...),
		"nested":           []byte(strings.Repeat("[", 30000) + `"` + secret + `"` + strings.Repeat("]", 30000)),
		"many":             []byte("[" + strings.Repeat(`"value-`+"x"+`",`, 6000) + `"` + secret + `"]`),
		"base64 of base64": []byte(onion(12)),
	} {
		if n := len(k.Prints(value)); n < 1 || n > 512 {
			t.Errorf("%s: %d parts", name, n)
		}
	}
}

func onion(layers int) string {
	s := secret
	for range layers {
		s = base64.StdEncoding.EncodeToString([]byte(s))
	}
	return s
}

func FuzzPrints(f *testing.F) {
	for _, s := range []string{secret, `{"a":{"b":"` + secret + `"}}`, "a: &x b\nc: *x\n", "postgres://u:p@h/d?x=y", "a='b\\'c' d=\"e\"", onion(3), "-----BEGIN X-----", "KEY=\"v\"\n"} {
		f.Add([]byte(s))
	}
	k, err := fingerprint.NewKey(make([]byte, fingerprint.KeySize))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		prints := k.Prints(value)
		if !slices.Equal(prints, k.Prints(value)) {
			t.Error("another answer the second time")
		}
		if len(prints) > 512 {
			t.Errorf("%d parts", len(prints))
		}
	})
}

// Every value that some encoding of base64 has is looked into, on one line or several, and
// by the first encoding that fits only.
func TestEveryBase64(t *testing.T) {
	for n := range 40 {
		plain := []byte(strings.Repeat("pass?>~word", 5)[:20+n%20])
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			text := e.EncodeToString(plain)
			for _, text := range []string{text, text[:8] + "\n" + text[8:], text[:8] + "\r\n" + text[8:]} {
				found := 0
				fingerprint.Walk("", []byte(text), func(where, _ string, part []byte) {
					if where == "#base64" && bytes.Equal(part, plain) {
						found++
					}
				})
				if found != 1 {
					t.Errorf("%q is told %d times in %q", plain, found, text)
				}
			}
		}
	}
	for _, text := range []string{"abcd+fgh-jkl", "abcdefghijklm", "abcdefghijk==", "abc=defghijk"} {
		fingerprint.Walk("", []byte(text), func(where, _ string, part []byte) {
			if strings.Contains(where, "base64") {
				t.Errorf("%q is told at %s in %q", part, where, text)
			}
		})
	}
}
