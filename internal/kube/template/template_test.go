package template

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/strongkeep/strongkeep/internal/errs"
)

const canary = "canary-88d2"

func values() map[string]string {
	return map[string]string{"user": "app", "password": canary, "json": `{"a":{"b":"c"}}`, "list": "a,b,c"}
}

func run(limits Limits, source string) (string, error) {
	out, err := NewRun(values(), limits, still).Text("t", source)
	return string(out), err
}

func TestText(t *testing.T) {
	for source, want := range map[string]string{
		`{{ .user }}:{{ .password }}`:                                                             "app:" + canary,
		`{{ .password | b64enc }}`:                                                                base64.StdEncoding.EncodeToString([]byte(canary)),
		`{{ (.json | fromJson).a.b }}`:                                                            "c",
		`{{ range $i, $e := splitList "," .list }}{{$i}}{{$e}} {{ end }}`:                         "0a 1b 2c ",
		`{{ if and .user (eq .user "app") }}y{{ else }}n{{ end }}`:                                "y",
		`{{ define "x" }}<{{ . }}>{{ end }}{{ template "x" .user }}`:                              "<app>",
		`{{ block "b" . }}{{ .user }}{{ end }}`:                                                   "app",
		`{{ with .user }}{{ . | upper }}{{ end }}`:                                                "APP",
		`{{ range 3 }}{{ . }}{{ end }}`:                                                           "012",
		`{{ printf "%s-%05d" .user 7 }}`:                                                          "app-00007",
		`{{ regexReplaceAll "(a)(p)" .user "${2}${1}" }}`:                                         "pap",
		`{{ dict "k" .user | toYaml }}`:                                                           "k: app",
		`{{ (fromYaml "a: {b: 1}").a.b }}`:                                                        "1",
		`{{ index . "user" }}`:                                                                    "app",
		`{{ range $k, $v := . }}{{ $k }} {{ end }}`:                                               "json list password user ",
		`{{ $x := list 1 2 3 }}{{ range $x }}{{ if eq . 2 }}{{ break }}{{ end }}{{ . }}{{ end }}`: "1",
		`{{ "a\nb" | nindent 2 }}`:                                                                "\n  a\n  b",
		`{{ (index (list (dict "f" "v")) 0).f }}`:                                                 "v",
		`{{ html "<a>" }}{{ len .user }}`:                                                         "&lt;a&gt;3",
	} {
		if got, err := run(Limits{}, source); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", source, got, err, want)
		}
	}
}

// A template that runs away is stopped, whatever way it runs.
func TestRunaways(t *testing.T) {
	limits := Limits{}
	for _, source := range []string{
		`{{ range 1000000000000 }}{{ end }}`,
		`{{ $l := until 10000 }}{{ range $l }}{{ range $l }}{{ range $l }}{{ end }}{{ end }}{{ end }}`,
		`{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`,
		`{{ define "a" }}{{ template "b" }}{{ template "b" }}{{ end }}{{ define "b" }}{{ template "a" }}{{ template "a" }}{{ end }}{{ template "a" }}`,
		`{{ range 100000 }}{{ $.password }}{{ $.password }}{{ end }}`,
		`{{ repeat 2000000000 "x" }}`,
		`{{ repeat 9223372036854775807 "xx" }}`,
		`{{ until 2000000000 }}`,
		`{{ untilStep 0 9223372036854775807 1 }}`,
		`{{ seq 0 1 2000000000 }}`,
		`{{ randAlphaNum 2000000000 }}`,
		`{{ randBytes 2000000000 }}`,
		`{{ indent 2000000000 "x" }}`,
		`{{ $x := "xxxxxxxxxx" }}{{ range 40 }}{{ $x = cat $x $x }}{{ end }}`,
		`{{ $x := repeat 1000000 "a" }}{{ replace "a" $x $x }}`,
		`{{ $x := repeat 1000000 "a" }}{{ regexReplaceAll "a" $x $x }}`,
		`{{ $x := repeat 1000000 "a" }}{{ regexReplaceAll "a" $x "${0}bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" }}`,
		`{{ $x := repeat 1000000 "a" }}{{ regexReplaceAllLiteral "a" $x $x }}`,
		`{{ $x := repeat 1000000 "a" }}{{ wrapWith 1 $x $x }}`,
		`{{ $x := repeat 1000000 "a" }}{{ join $x (until 10000) }}`,
		`{{ $x := repeat 1000000 "a" }}{{ printf (repeat 1000 "%[1]s") $x }}`,
		`{{ printf "%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d" 1 }}`,
		`{{ $d := dict }}{{ $_ := set $d "me" $d }}{{ $d }}`,
		`{{ $l := list 1 }}{{ range 60 }}{{ $l = list $l $l }}{{ end }}{{ toJson $l }}`,
		`{{ $l := list 1 }}{{ range 60 }}{{ $l = concat $l $l }}{{ end }}`,
		`{{ uniq (until 100000) }}`,
		strings.Repeat("x", 600<<10),
	} {
		out, err := run(limits, source)
		if !errs.Is(err, errs.TooLarge) || out != "" {
			t.Errorf("%.70s: %v (%v), want too large", source, err, errs.KindOf(err))
		}
	}
}

func TestTimeIsBounded(t *testing.T) {
	now := time.Unix(0, 0)
	r := NewRun(values(), Limits{Time: time.Second}, func() time.Time { now = now.Add(time.Millisecond); return now })
	if _, err := r.Text("t", `{{ range 100000 }}{{ end }}`); !errs.Is(err, errs.TooLarge) || !strings.Contains(err.Error(), "longer than 1s") {
		t.Errorf("%v", err)
	}
}

func TestOneBudgetForAllTexts(t *testing.T) {
	r := NewRun(values(), Limits{Output: 100}, still)
	if _, err := r.Text("a", strings.Repeat("x", 60)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Text("b", strings.Repeat("x", 60)); !errs.Is(err, errs.TooLarge) {
		t.Errorf("the second text: %v, want too large", err)
	}
}

// Errors say where and what, and never a value.
func TestErrors(t *testing.T) {
	for source, want := range map[string]string{
		`{{ .nope }}`:                                  `t:1:3 at {{.nope}}: map has no entry for key "nope"`,
		"x\n{{ .user.x }}":                             "t:2:8",
		`{{ fail "set user" }}`:                        "fail: set user",
		`{{ fail .password }}`:                         "fail cannot use what it is given",
		`{{ fail (b64enc .password) }}`:                "withheld",
		`{{ range .password }}{{ end }}`:               "withheld",
		`{{ urlParse (cat "%" .password) }}`:           "urlParse cannot use",
		`{{ mustRegexMatch (cat "(" .password) "x" }}`: "regular expression is wrong",
		`{{ mustFromJson .password }}`:                 "mustFromJson cannot use",
		`{{ index .password 99999 }}`:                  "withheld",
		`{{ index (list 1) (len .password) }}`:         "withheld",
		`{{ lt .password 1 }}`:                         "cannot be compared",
		`{{ include "x" }}`:                            `function "include" not defined`,
		`{{ env "HOME" }}`:                             `function "env" not defined`,
		`{{ expandenv "$HOME" }}`:                      `function "expandenv" not defined`,
		`{{ getHostByName "x" }}`:                      `function "getHostByName" not defined`,
		`{{ template "none" }}`:                        `template "none" not defined`,
		`{{ if }}`:                                     "missing value for if",
		`{{ jwkPublicKeyPem .password }}`:              "not a JSON Web Key",
		`{{ filterPEM "X" .password }}`:                "not PEM",
		`{{ pkcs12key .password }}`:                    "not a PKCS#12 archive",
		`{{ fromYaml .password }}`:                     "not a YAML mapping",
		`{{ substr 5 2 .password }}`:                   "substr cannot use",
	} {
		out, err := run(Limits{}, source)
		if err == nil || !strings.Contains(err.Error(), want) || out != "" {
			t.Errorf("%s: %v, want %q", source, err, want)
			continue
		}
		if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte(canary))) {
			t.Errorf("%s: the value is in the message", source)
		}
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v, want invalid", source, errs.KindOf(err))
		}
	}
}

// chain returns PEM of root, intermediate and leaf certificates and the leaf's key.
func chain(t testing.TB) (root, middle, leaf, key string) {
	t.Helper()
	make := func(name string, ca bool, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IsCA: ca, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name + ".example"},
		}
		if parent == nil {
			parent, by = template, k
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &k.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c, k
	}
	rc, rk := make("root", true, nil, nil)
	mc, mk := make("middle", true, rc, rk)
	lc, lk := make("leaf", false, mc, mk)
	der, err := x509.MarshalECPrivateKey(lk)
	if err != nil {
		t.Fatal(err)
	}
	text := func(c *x509.Certificate) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return text(rc), text(mc), text(lc), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// facts/external-secrets.md §1.6.
func TestOwnFunctions(t *testing.T) {
	root, middle, leaf, key := chain(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cipher, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &rsaKey.PublicKey, []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := (&jose.JSONWebKey{Key: rsaKey}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	rsaDER, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	rsaPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rsaDER}))
	data := map[string]string{
		"chain": leaf + middle + root, "mixed": middle + root + leaf, "leaf": leaf, "key": key, "bundle": key + leaf + middle,
		"cipher": base64.StdEncoding.EncodeToString(cipher), "rsa": rsaPEM, "jwk": string(raw),
	}
	for source, want := range map[string]string{
		`{{ filterPEM "CERTIFICATE" .bundle }}`:                                   leaf + middle,
		`{{ filterPEM "EC PRIVATE KEY" .bundle }}`:                                key,
		`{{ filterCertChain "leaf" .mixed }}`:                                     leaf,
		`{{ filterCertChain "intermediate" .mixed }}`:                             middle,
		`{{ filterCertChain "root" .mixed }}`:                                     root,
		`{{ certSANs .leaf | join "," }}`:                                         "leaf.example",
		`{{ pemToPkcs12 .leaf .key | b64dec | pkcs12cert }}`:                      leaf,
		`{{ pemToPkcs12Pass .leaf .key "p" | pkcs12certPass "p" }}`:               leaf,
		`{{ fullPemToPkcs12Pass .chain .key "p" | b64dec | pkcs12certPass "p" }}`: leaf + middle + root,
		`{{ fullPemToPkcs12 .chain .key | pkcs12cert }}`:                          leaf + middle + root,
		`{{ pemTruststoreToPKCS12Pass .chain "p" | pkcs12certPass "p" }}`:         leaf + middle + root,
		`{{ jwkPrivateKeyPem .jwk }}`:                                             rsaPEM,
		`{{ rsaDecrypt "RSA-OAEP" "SHA256" (b64dec .cipher) .rsa }}`:              "plain",
	} {
		out, err := NewRun(data, Limits{}, still).Text("t", source)
		if err != nil || string(out) != want {
			t.Errorf("%s: %v\n%.60s\nwant\n%.60s", source, err, out, want)
		}
	}
	out, err := NewRun(data, Limits{}, still).Text("t", `{{ pemToPkcs12 .leaf .key | pkcs12key }}`)
	block, _ := pem.Decode(out)
	if err != nil || block == nil || block.Type != "PRIVATE KEY" {
		t.Errorf("pkcs12key: %v", err)
	}
	out, err = NewRun(data, Limits{}, still).Text("t", `{{ jwkPublicKeyPem .jwk }}`)
	if block, _ = pem.Decode(out); err != nil || block == nil || block.Type != "PUBLIC KEY" {
		t.Errorf("jwkPublicKeyPem: %v", err)
	}
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{
		`{{ .user }}`, `{{ range 1000000000 }}{{ end }}`, `{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}`,
		`{{ .password | b64dec | fromJson | toYaml }}`, `{{ printf "%*d" 1000000 7 }}`, `{{ $x := dict }}{{ set $x "x" $x }}`,
		`{{ fail .password }}`, `{{ index . "password" 3 }}`, `{{ regexReplaceAll "(.*)" .password "$1$1" }}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		limits := Limits{Output: 64 << 10, Produced: 4 << 20, Steps: 10_000, Time: time.Second, Text: 64 << 10}
		limits.Keys = 1 // RSA-4096 does not fit
		raw, err := NewRun(values(), limits, time.Now).Text("t", source)
		out := string(raw)
		if len(out) > limits.Output {
			t.Errorf("%d bytes came out", len(out))
		}
		if err != nil && errs.KindOf(err) != errs.Invalid && errs.KindOf(err) != errs.TooLarge {
			t.Errorf("%v is %v", err, errs.KindOf(err))
		}
		if _, err := NewRun(values(), limits, time.Now).SecretText("t", source); err != nil && len(source) > 12 && strings.Contains(err.Error(), source) {
			t.Errorf("the template is in the message of %q", source)
		}
		if err != nil && strings.Contains(err.Error(), canary) && !strings.Contains(source, canary) {
			t.Errorf("the value is in the message of %q", source)
		}
	})
}

func BenchmarkText(b *testing.B) {
	const source = `user={{ .user }} password={{ .password | b64enc }}{{ range splitList "," .list }} {{ . }}{{ end }}`
	b.ReportAllocs()
	for b.Loop() {
		if _, err := run(Limits{}, source); err != nil {
			b.Fatal(err)
		}
	}
}
