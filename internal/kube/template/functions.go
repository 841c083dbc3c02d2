package template

import (
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"maps"
	"reflect"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

// functions returns every function a template may call beside the few that
// builtin leaves to text/template: sprig's, without those that read the
// environment or ask the network, and over them those of text/template that can
// grow or leak, and ours.
func (b *budget) functions() map[string]any {
	out := sprig.TxtFuncMap()
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(out, name)
	}
	maps.Copy(out, map[string]any{
		"print":    fmt.Sprint,
		"println":  fmt.Sprintln,
		"printf":   fmt.Sprintf,
		"html":     template.HTMLEscaper,
		"js":       template.JSEscaper,
		"urlquery": template.URLQueryEscaper,

		"eq": equal,
		"ne": func(x, y any) (bool, error) { same, err := equal(x, y); return !same, err },
		"lt": func(x, y any) (bool, error) { n, err := compare(x, y); return n < 0, err },
		"le": func(x, y any) (bool, error) { n, err := compare(x, y); return n <= 0, err },
		"gt": func(x, y any) (bool, error) { n, err := compare(x, y); return n > 0, err },
		"ge": func(x, y any) (bool, error) { n, err := compare(x, y); return n >= 0, err },

		// sprig's return the error as if it were the value.
		"b64dec": decoder("b64dec: this is not base64", base64.StdEncoding.DecodeString),
		"b32dec": decoder("b32dec: this is not base32", base32.StdEncoding.DecodeString),
	})
	maps.Copy(out, b.regexps())
	b.limitLabour(out)
	maps.Copy(out, b.own())
	return out
}

func decoder(wrong string, decode func(string) ([]byte, error)) func(string) (string, error) {
	return func(s string) (string, error) {
		out, err := decode(s)
		if err != nil {
			return "", fail(wrong)
		}
		return string(out), nil
	}
}

// largestKey is how many bytes the arguments of a function that signs may have:
// enough for a certificate, its key of 8192 bits and some names. A longer key
// could take minutes.
const largestKey = 16 << 10

// limitLabour puts sprig's functions that make keys, sign and hash passwords
// under the budget of keys.
func (b *budget) limitLabour(functions map[string]any) {
	for name, units := range map[string]int{
		"genCA": 1, "genSelfSignedCert": 1, "genSignedCert": 1, "bcrypt": 1, "htpasswd": 1, "derivePassword": 1,
		"genCAWithKey": 0, "genSelfSignedCertWithKey": 0, "genSignedCertWithKey": 0, "buildCustomCert": 0,
	} {
		f := reflect.ValueOf(functions[name])
		functions[name] = reflect.MakeFunc(failingType(f.Type()), func(args []reflect.Value) []reflect.Value {
			var err error
			for _, arg := range args {
				if n, tooLarge := size(arg, largestKey); tooLarge != nil || n > largestKey {
					err = fail(name + ": this key or certificate is too large")
				}
			}
			results := []reflect.Value{reflect.Zero(f.Type().Out(0))}
			if err == nil {
				var out []reflect.Value
				if out, err = labour(b, units, func() []reflect.Value { return f.Call(args) }); err == nil {
					results[0] = out[0]
				}
				if len(out) == 2 && !out[1].IsNil() {
					err = out[1].Interface().(error)
				}
			}
			return append(results, reflect.ValueOf(&err).Elem())
		}).Interface()
	}
	generate := functions["genPrivateKey"].(func(string) string)
	functions["genPrivateKey"] = func(kind string) (string, error) {
		units := 1
		switch kind {
		case "", "rsa": // of 4096 bits
			units = 4
		case "ecdsa", "ed25519":
		default:
			return "", fail(`genPrivateKey: the kind must be "rsa", "ecdsa" or "ed25519"`)
		}
		return labour(b, units, func() string { return generate(kind) })
	}
}

// failingType is t with an error as its second result.
func failingType(t reflect.Type) reflect.Type {
	in := make([]reflect.Type, t.NumIn())
	for i := range in {
		in[i] = t.In(i)
	}
	return reflect.FuncOf(in, []reflect.Type{t.Out(0), reflect.TypeFor[error]()}, t.IsVariadic())
}
