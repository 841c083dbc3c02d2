package config_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/config"
)

// canary is a key of 32 bytes that must never be told.
const canary = "canary-91ce-canary-91ce-canary-9"

var key = base64.StdEncoding.EncodeToString([]byte(canary))

const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n"

func kms(name string) string {
	return "kms: {apiVersion: v2, name: " + name + ", endpoint: 'unix:///run/" + name + ".sock'}"
}

func aes(name string) string { return "aescbc: {keys: [{name: " + name + ", secret: " + key + "}]}" }

// entry is one of resources, each provider on its own line.
func entry(resources string, providers ...string) string {
	out := "- resources: [" + resources + "]\n  providers:\n"
	for _, p := range providers {
		out += "  - " + p + "\n"
	}
	return out
}

func file(entries ...string) string { return head + "resources:\n" + strings.Join(entries, "") }

func parse(t testing.TB, text string) *config.File {
	t.Helper()
	f, err := config.Parse("enc.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func silent(t *testing.T, what ...any) {
	t.Helper()
	encoded, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(encoded) + fmt.Sprintf("%v %+v %#v %s", what, what, what, what); strings.Contains(s, "canary-91ce") || strings.Contains(s, key[:12]) {
		t.Errorf("a key is told: %s", s)
	}
}

// writers are the providers of a resource, in their order.
func writers(f *config.File, resource string) string {
	var out []string
	for _, p := range f.Providers(resource) {
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}

func TestProvidersOfAResource(t *testing.T) {
	f := parse(t, file(entry("secrets, deployments.apps", aes("one"), "identity: {}"), entry("secrets", "identity: {}"), entry("'*.apps'", kms("a")), entry("'*.*'", kms("b"), "identity: {}")))
	for resource, want := range map[string]string{
		"secrets": "aescbc (keys one), identity, identity", "deployments.apps": "aescbc (keys one), identity", "replicasets.apps": "kms a",
		"configmaps": "kms b, identity", "leases.coordination.k8s.io": "kms b, identity",
	} {
		if got := writers(f, resource); got != want {
			t.Errorf("%s: %s, want %s", resource, got, want)
		}
	}
	if got := writers(&config.File{}, "secrets"); got != "identity" {
		t.Errorf("without a file: %s", got)
	}
	if f.Entries[2].Line != 11 || f.Entries[2].Providers[0].Line != 13 {
		t.Errorf("lines %d, %d", f.Entries[2].Line, f.Entries[2].Providers[0].Line)
	}
	silent(t, f, *f, f.Entries)
}

// What no API server takes, or what would be read in another way than it was meant, is
// refused with its line.
func TestWrongFiles(t *testing.T) {
	short := base64.StdEncoding.EncodeToString([]byte("canary-91ce"))
	for name, c := range map[string]struct {
		text string
		line int // 0: none
		want string
	}{
		"empty":                  {"", 0, "it has to be an EncryptionConfiguration"},
		"no YAML":                {head + "resources: [" + key + "\nb: c: d", 0, "not YAML, or it was cut off, near line "},
		"a list":                 {"- " + key, 0, "it has to be an EncryptionConfiguration"},
		"another kind":           {"apiVersion: v1\nkind: Secret\n", 2, "and kind EncryptionConfiguration"},
		"another of its API":     {"apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\n", 2, "and kind EncryptionConfiguration"},
		"no kind":                {"resources: []\n", 1, "and kind EncryptionConfiguration"},
		"nothing to encrypt":     {head + "resources: []\n", 3, "resources is empty"},
		"an unknown field":       {file("- resources: [secrets]\n  provider: [{" + aes("one") + "}]\n"), 5, "a field is unknown in resources[0]"},
		"a key as a field":       {file(entry("secrets", "aescbc: {"+key+": 1}")), 6, "a field is unknown in resources[0].providers[0].aescbc"},
		"a field twice":          {file(entry("secrets", "identity: {}\n    identity: {}")), 7, "not YAML|twice"},
		"keys are a number":      {file(entry("secrets", "aescbc: {keys: "+key+"}")), 6, "keys has to be a list"},
		"a name is a list":       {file(entry("secrets", "aescbc: {keys: [{name: [a], secret: "+key+"}]}")), 6, "name has to be a single value"},
		"identity is a list":     {file(entry("secrets", "identity: []")), 6, "identity has to have fields"},
		"a short key":            {file(entry("secrets", "aescbc:\n      keys:\n      - name: one\n        secret: "+short)), 9, "has 11 bytes"},
		"no base64":              {file(entry("secrets", "secretbox: {keys: [{name: one, secret: '"+canary+"!'}]}")), 6, "base64"},
		"a key without a name":   {file(entry("secrets", "aesgcm: {keys: [{secret: "+key+"}]}")), 6, "needs a name"},
		"no keys":                {file(entry("secrets", "aesgcm: {keys: []}")), 6, "at least one key"},
		"two kinds in one":       {file(entry("secrets", "identity: {}\n    "+aes("one"))), 6, "exactly one of"},
		"none in one":            {file(entry("secrets", "{}")), 6, "exactly one of"},
		"no provider":            {file("- resources: [secrets]\n  providers: []\n"), 4, "needs both"},
		"no resources":           {file(entry("", "identity: {}")), 4, "needs both"},
		"a star":                 {file(entry("'*'", "identity: {}")), 4, "write *. for the core group"},
		"in capitals":            {file(entry("Secrets", "identity: {}")), 4, "small letters"},
		"one of all groups":      {file(entry("'secrets.*'", "identity: {}")), 4, "name its group"},
		"events":                 {file(entry("events.events.k8s.io", "identity: {}")), 4, "write events"},
		"extensions":             {file(entry("'*.extensions'", "identity: {}")), 4, "no more"},
		"not served":             {file(entry("serviceipallocations", "identity: {}")), 4, "not served"},
		"named twice":            {file(entry("secrets, secrets", "identity: {}")), 4, "twice"},
		"overlapping wildcard":   {file("- resources:\n  - '*.'\n  - secrets\n  providers: [{identity: {}}]\n"), 6, "resource secrets: it overlaps *."},
		"hidden by the group":    {file(entry("'*.apps'", kms("a")), entry("deployments.apps", "identity: {}")), 7, "hidden by the wildcard *.apps"},
		"hidden by all":          {file(entry("'*.*'", kms("a")), entry("secrets", "identity: {}")), 7, "hidden by the wildcard *.*"},
		"the same wildcard":      {file(entry("'*.*'", kms("a")), entry("'*.*'", "identity: {}")), 7, "hidden by the wildcard *.*"},
		"kms over TCP":           {file(entry("secrets", "kms: {apiVersion: v2, name: k, endpoint: 'tcp://k'}")), 6, "endpoint has to be a socket's"},
		"kms without endpoint":   {file(entry("secrets", "kms: {apiVersion: v2, name: k}")), 6, "endpoint has to be a socket's"},
		"kms v3":                 {file(entry("secrets", "kms: {apiVersion: v3, name: k, endpoint: 'unix:///k'}")), 6, "has to be v2"},
		"kms v2 with cache":      {file(entry("secrets", "kms: {apiVersion: v2, name: k, cachesize: 3, endpoint: 'unix:///k'}")), 6, "cachesize"},
		"kms v1 without cache":   {file(entry("secrets", "kms: {apiVersion: v1, name: k, cachesize: 0, endpoint: 'unix:///k'}")), 6, "cachesize"},
		"kms without a name":     {file(entry("secrets", "kms: {apiVersion: v2, endpoint: 'unix:///k'}")), 6, "needs a name"},
		"kms with a colon":       {file(entry("secrets", "kms: {apiVersion: v2, name: 'a:b', endpoint: 'unix:///k'}")), 6, "no colon"},
		"two of one name":        {file(entry("secrets", kms("a"), "identity: {}"), entry("configmaps", kms("a"))), 10, "another kms provider is named a"},
		"kms without patience":   {file(entry("secrets", "kms:\n      apiVersion: v2\n      name: a\n      endpoint: unix:///k\n      timeout: 0s")), 10, "timeout"},
		"a timeout of no length": {file(entry("secrets", "kms: {apiVersion: v2, name: a, endpoint: 'unix:///k', timeout: "+key+"}")), 0, "wrong type"},
	} {
		_, err := config.Parse("enc.yaml", []byte(c.text))
		where := "enc.yaml: "
		if c.line > 0 {
			where = fmt.Sprintf("enc.yaml:%d: ", c.line)
		}
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		fits := false
		for _, want := range strings.Split(c.want, "|") {
			fits = fits || strings.Contains(err.Error(), want)
		}
		if !strings.HasPrefix(err.Error(), where) || !fits {
			t.Errorf("%s: %v; want %s…%s", name, err, where, c.want)
		}
		silent(t, err.Error())
	}
	if _, err := config.Parse("enc.yaml", make([]byte, 5<<20)); !errs.Is(err, errs.TooLarge) {
		t.Error("a huge file:", err)
	}
}

// What an API server takes is taken, also where it is odd.
func TestOddFiles(t *testing.T) {
	for name, text := range map[string]string{
		"JSON":              `{"apiVersion":"apiserver.config.k8s.io/v1","kind":"EncryptionConfiguration","resources":[{"resources":["secrets"],"providers":[{"identity":{}}]}]}`,
		"anchors":           file("- resources: [secrets]\n  providers: &p [{identity: {}}]\n", "- resources: [configmaps]\n  providers: *p\n"),
		"kms v1 by default": file(entry("secrets", "kms: {name: 'a:b', endpoint: 'unix:///k'}")),
		"abstract socket":   file(entry("secrets", "kms: {apiVersion: v2, name: a, endpoint: 'unix:///@k'}")),
		"one in two":        file(entry("secrets", kms("a")), entry("secrets", "identity: {}")),
		"narrow then wide":  file(entry("secrets", kms("a")), entry("'*.'", kms("b")), entry("'*.*'", kms("c"))),
	} {
		if _, err := config.Parse("enc.yaml", []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(file(entry("secrets", aes("one"), "identity: {}"))))
	f.Add([]byte(file(entry("secrets, configmaps", "identity: {}", kms("a")), entry("'*.*'", kms("b")))))
	f.Add([]byte("resources: [{providers: *a, resources: &a []}]"))
	goals := []*config.Goal{{Resources: []string{"secrets"}, Name: "strongkeep", Socket: "/run/k.sock"}, {Resources: []string{"secrets"}, Back: true}}
	f.Fuzz(func(t *testing.T, text []byte) {
		parsed, err := config.Parse("f", text)
		if err != nil {
			if !errs.Is(err, errs.Invalid) && !errs.Is(err, errs.TooLarge) {
				t.Error(err)
			}
			return
		}
		silent(t, parsed, parsed.Entries)
		for _, g := range goals {
			if at := walk(t, parsed, g); at != nil && at.Stage(g) != config.Writes {
				t.Errorf("it ends at %s", at.Stage(g))
			}
		}
	})
}

// walk goes all the way to a goal. Each file on it may be in force beside the one
// before and the one after, and none loses what another wrote. It returns the end, nil
// if the way is refused.
func walk(t testing.TB, from *config.File, g *config.Goal) *config.File {
	t.Helper()
	at := from
	for range 3 {
		next, err := at.Next(g)
		if errs.Is(err, errs.Invalid) && at == from {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if next == at {
			return at
		}
		if again, err := at.Next(g); err != nil || again.Hash != next.Hash {
			t.Fatalf("two nodes write two files: %v", err)
		}
		if err := config.Together(at, next); err != nil {
			t.Fatal(err)
		}
		if lost := config.Losses(at, next); len(lost) > 0 {
			t.Fatalf("%v is lost", lost)
		}
		at = next
	}
	t.Fatal("the way has no end")
	return nil
}
