package config_test

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/config"
)

func goal(resources ...string) *config.Goal {
	return &config.Goal{Resources: resources, Name: "strongkeep", Socket: "/run/strongkeep-kms/kms.sock"}
}

func next(t *testing.T, f *config.File, g *config.Goal) *config.File {
	t.Helper()
	n, err := f.Next(g)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// From a cluster in the clear to an encrypted one and back.
func TestThereAndBack(t *testing.T) {
	g := goal("secrets", "configmaps")
	first := next(t, &config.File{}, g)
	second := next(t, first, g)
	for _, c := range []struct {
		f     *config.File
		stage config.Stage
		want  string
	}{{&config.File{}, config.Away, "identity"}, {first, config.Reads, "identity, kms strongkeep"}, {second, config.Writes, "kms strongkeep, identity"}} {
		if c.f.Stage(g) != c.stage || writers(c.f, "secrets") != c.want || writers(c.f, "configmaps") != c.want {
			t.Errorf("%s: %s", c.f.Stage(g), writers(c.f, "secrets"))
		}
	}
	if err := config.Together(&config.File{}, second); !errs.Is(err, errs.Conflict) {
		t.Errorf("an API server without a file and one that encrypts: %v", err)
	}
	if at := next(t, second, g); at != second {
		t.Error("there is a step behind the last one")
	}
	back := &config.Goal{Resources: []string{"configmaps", "secrets"}, Back: true}
	clear := next(t, second, back)
	if writers(clear, "secrets") != "identity, kms strongkeep" || clear.Stage(back) != config.Writes || next(t, clear, back) != clear {
		t.Errorf("the way back ends at %s", writers(clear, "secrets"))
	}
	if got := string(second.Text().Reveal()); !strings.Contains(got, "resources: [secrets, configmaps]") || !strings.Contains(got, "timeout: 3s") || !strings.HasPrefix(got, "# For --encryption") {
		t.Error(got)
	}
}

// The way of files that are there already. Comments stay.
func TestWays(t *testing.T) {
	for name, c := range map[string]struct {
		from   string
		g      *config.Goal
		stages []string // what secrets have at each step
	}{
		"beside keys in the file": {file(entry("secrets", aes("one"), "identity: {}")), goal("secrets"), []string{"aescbc (keys one), kms strongkeep, identity", "kms strongkeep, aescbc (keys one), identity"}},
		"identity in the middle":  {file(entry("secrets", aes("one"), "identity: {}", kms("old"))), goal("secrets"), []string{"aescbc (keys one), kms strongkeep, identity, kms old", "kms strongkeep, aescbc (keys one), kms old, identity"}},
		"without identity":        {file(entry("secrets", aes("one"))), goal("secrets"), []string{"aescbc (keys one), kms strongkeep", "kms strongkeep, aescbc (keys one)"}},
		"another resource":        {file(entry("configmaps", kms("other"), "identity: {}")), goal("secrets"), []string{"identity, kms strongkeep", "kms strongkeep, identity"}},
		"a narrow one first":      {file(entry("secrets", kms("other"))), goal("*.*"), []string{"kms other", "kms other"}},
		"a wildcard":              {file(entry("'*.'", "identity: {}")), goal("*."), []string{"identity, kms strongkeep", "kms strongkeep, identity"}},
		"back without identity":   {file(entry("secrets", kms("k"))), &config.Goal{Resources: []string{"secrets"}, Back: true}, []string{"kms k, identity", "identity, kms k"}},
		"back where all is clear": {file(entry("configmaps", kms("k"))), &config.Goal{Resources: []string{"secrets"}, Back: true}, nil},
		"the last step":           {file(entry("secrets", "identity: {}", "kms: {apiVersion: v2, name: strongkeep, endpoint: 'unix:///run/strongkeep-kms/kms.sock'}")), goal("secrets"), []string{"kms strongkeep, identity"}},
		"JSON":                    {`{"apiVersion":"apiserver.config.k8s.io/v1","kind":"EncryptionConfiguration","resources":[{"resources":["secrets"],"providers":[{"identity":{}}]}]}`, goal("secrets"), []string{"identity, kms strongkeep", "kms strongkeep, identity"}},
	} {
		at := parse(t, strings.Replace(c.from, "resources:\n", "resources: # kept\n", 1))
		commented := strings.Contains(string(at.Text().Reveal()), "# kept")
		for i, want := range c.stages {
			at = next(t, at, c.g)
			if got := writers(at, "secrets"); got != want {
				t.Errorf("%s, step %d: %s, want %s", name, i+1, got, want)
			}
			if commented && !strings.Contains(string(at.Text().Reveal()), "# kept") {
				t.Errorf("%s: the comment is gone:\n%s", name, at.Text().Reveal())
			}
		}
		if end := walk(t, at, c.g); end != at {
			t.Errorf("%s: it does not end there", name)
		}
	}
}

// What no step of ours can do safely is refused, with the line in the way.
func TestNoWay(t *testing.T) {
	long := goal("secrets")
	long.Socket = "/" + strings.Repeat("a", 107)
	with := func(change func(*config.Goal)) *config.Goal { g := goal("secrets"); change(g); return g }
	for name, c := range map[string]struct {
		from, want string
		g          *config.Goal
	}{
		"under a wildcard":       {file(entry("'*.*'", aes("one"))), "enc.yaml:4: secrets is encrypted by the wildcard *.*", goal("secrets")},
		"two entries":            {file(entry("secrets", aes("one")), entry("configmaps", "identity: {}")), "enc.yaml:7: secrets and configmaps are not in one entry", goal("secrets", "configmaps")},
		"one is new":             {file(entry("secrets", aes("one"))), "enc.yaml:4: secrets and configmaps", goal("secrets", "configmaps")},
		"more in the entry":      {file(entry("secrets, configmaps", aes("one"))), "enc.yaml:4: configmaps is in the same entry", goal("secrets")},
		"in two entries":         {file(entry("secrets", aes("one")), entry("secrets", "identity: {}")), "enc.yaml:7: secrets is in two entries", goal("secrets")},
		"name used elsewhere":    {file(entry("configmaps", "identity: {}", kms("strongkeep"))), "enc.yaml:7: a provider is named strongkeep already, for configmaps", goal("secrets")},
		"renamed":                {file(entry("secrets", "kms: {apiVersion: v2, name: old, endpoint: 'unix:///run/strongkeep-kms/kms.sock'}")), "enc.yaml:6: the provider at this socket is named old", goal("secrets")},
		"another socket":         {file(entry("secrets", "identity: {}", kms("strongkeep"))), "enc.yaml:7: provider strongkeep has another endpoint", goal("secrets")},
		"KMS v1 of this name":    {file(entry("secrets", "kms: {apiVersion: v1, name: strongkeep, endpoint: 'unix:///run/strongkeep-kms/kms.sock'}")), "enc.yaml:6: provider strongkeep is KMS v1", goal("secrets")},
		"anchors":                {file("- resources: [secrets]\n  providers: &p [{identity: {}}]\n", "- resources: [configmaps]\n  providers: *p\n"), "enc.yaml:5: here is an anchor", goal("secrets")},
		"no resource":            {file(entry("secrets", aes("one"))), "no resource is named", goal()},
		"a resource in capitals": {file(entry("secrets", aes("one"))), "small letters", goal("Secrets")},
		"two overlap":            {file(entry("secrets", aes("one"))), "overlaps", goal("secrets", "*.*")},
		"a list in one":          {file(entry("secrets", aes("one"))), "write it as RESOURCE", goal("secrets,configmaps")},
		"a relative socket":      {file(entry("secrets", aes("one"))), "has to be absolute", with(func(g *config.Goal) { g.Socket = "kms.sock" })},
		"a socket that climbs":   {file(entry("secrets", aes("one"))), "has to be absolute", with(func(g *config.Goal) { g.Socket = "/run/../kms.sock" })},
		"a long socket":          {file(entry("secrets", aes("one"))), "over 107 bytes", long},
		"a name with a colon":    {file(entry("secrets", aes("one"))), "without a colon", with(func(g *config.Goal) { g.Name = "a:b" })},
		"no name":                {file(entry("secrets", aes("one"))), "without a colon", with(func(g *config.Goal) { g.Name = "" })},
		"negative patience":      {file(entry("secrets", aes("one"))), "positive", with(func(g *config.Goal) { g.Timeout = -1 })},
	} {
		_, err := parse(t, c.from).Next(c.g)
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %s", name, err, c.want)
		}
		silent(t, err.Error())
	}
}

// Which files may be in force at once.
func TestTogether(t *testing.T) {
	clear, reading, writing := file(entry("secrets", "identity: {}")), file(entry("secrets", "identity: {}", kms("k"))), file(entry("secrets", kms("k"), "identity: {}"))
	other := strings.ReplaceAll(key, key[:4], "AAAA")
	for name, c := range map[string]struct {
		a, b string
		want string // "" for yes
	}{
		"the same":                     {writing, writing, ""},
		"reading and writing":          {reading, writing, ""},
		"clear and reading":            {clear, reading, ""},
		"clear and writing":            {clear, writing, "secrets: an API server with enc.yaml:6 writes with kms k"},
		"without identity":             {file(entry("secrets", kms("k"))), clear, "secrets: an API server"},
		"one only of two":              {file(entry("secrets", kms("k"))), reading, "writes with identity"},
		"a wildcard that writes":       {file(entry("'*.*'", kms("k"), "identity: {}")), clear, "*.*: an API server"},
		"a wildcard that reads":        {file(entry("'*.'", "identity: {}", kms("k"))), writing, ""},
		"of another group":             {file(entry("'*.apps'", kms("k"), "identity: {}")), clear, "*.apps"},
		"the same key":                 {file(entry("secrets", aes("a"), "identity: {}")), file(entry("secrets", "identity: {}", aes("a"))), ""},
		"a key of another name":        {file(entry("secrets", aes("a"), "identity: {}")), file(entry("secrets", "identity: {}", aes("b"))), "aescbc (keys a)"},
		"another key of one name":      {file(entry("secrets", aes("a"), "identity: {}")), strings.ReplaceAll(file(entry("secrets", "identity: {}", aes("a"))), key, other), "aescbc (keys a)"},
		"the second key of a list":     {file(entry("secrets", aes("a"), "identity: {}")), file(entry("secrets", "identity: {}", "aescbc: {keys: [{name: b, secret: "+key+"}, {name: a, secret: "+key+"}]}")), ""},
		"kms v1 and v2 of one name":    {writing, file(entry("secrets", "identity: {}", "kms: {apiVersion: v1, name: k, endpoint: 'unix:///run/k.sock'}")), "kms k"},
		"one socket is somewhere else": {writing, strings.ReplaceAll(reading, "/run/k.sock", "/run/2.sock"), ""},
	} {
		a, b := parse(t, c.a), parse(t, c.b)
		for _, err := range []error{config.Together(a, b), config.Together(b, a)} {
			switch {
			case c.want == "" && err != nil:
				t.Errorf("%s: %v", name, err)
			case c.want != "" && (!errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%s: %v; want %s", name, err, c.want)
			}
		}
	}
}

// What must not come after what.
func TestFollows(t *testing.T) {
	before := file(entry("secrets", kms("k"), aes("a"), "identity: {}"))
	for name, c := range map[string]struct {
		next, want string
		back       bool
	}{
		"the same":             {before, "", false},
		"more":                 {file(entry("secrets", kms("k"), kms("m"), aes("a"), "identity: {}")), "", false},
		"another endpoint":     {strings.ReplaceAll(before, "/run/k.sock", "/run/2.sock"), "", false},
		"a wildcard instead":   {file(entry("'*.*'", kms("k"), aes("a"), "identity: {}")), "", false},
		"renamed":              {strings.ReplaceAll(before, "name: k,", "name: z,"), "enc.yaml:6: kms k is renamed to z", false},
		"a key less":           {file(entry("secrets", kms("k"), "identity: {}")), "enc.yaml:7: aescbc (keys a) is taken from secrets", false},
		"identity gone":        {file(entry("secrets", kms("k"), aes("a"))), "enc.yaml:8: identity is taken from secrets", false},
		"the resource is gone": {file(entry("configmaps", "identity: {}")), "enc.yaml:6: kms k is taken from secrets", false},
		"identity first":       {file(entry("secrets", "identity: {}", kms("k"), aes("a"))), "enc.yaml:6: identity is the first provider of secrets", false},
		"identity first, back": {file(entry("secrets", "identity: {}", kms("k"), aes("a"))), "", true},
	} {
		err := config.Follows(parse(t, before), parse(t, c.next), config.Allow{Clear: c.back})
		if c.want == "" && err != nil || c.want != "" && (!errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v; want %s", name, err, c.want)
		}
	}
	if got := parse(t, file(entry("secrets", "identity: {}", kms("k")), entry("configmaps", kms("m"), "identity: {}"), entry("events", "identity: {}"))).InClear(); len(got) != 1 || got["secrets"].Line != 6 {
		t.Errorf("in the clear: %v", got)
	}
}

// What is left in the end, and what must not be taken.
func TestFinal(t *testing.T) {
	own := "kms: {apiVersion: v2, name: strongkeep, endpoint: 'unix:///run/strongkeep-kms/kms.sock'}"
	back := func(resources ...string) *config.Goal { return &config.Goal{Resources: resources, Back: true} }
	for name, c := range map[string]struct {
		from string
		g    *config.Goal
		want string // providers of secrets
		lost string
	}{
		"identity":         {file(entry("secrets", own, "identity: {}")), goal("secrets"), "kms strongkeep", "clear"},
		"an old key":       {file(entry("secrets", own, aes("old"), "identity: {}")), goal("secrets"), "kms strongkeep", "aescbc/old clear"},
		"two keys":         {file(entry("secrets", own, "aescbc: {keys: [{name: b, secret: "+key+"}, {name: a, secret: "+key+"}]}")), goal("secrets"), "kms strongkeep", "aescbc/b aescbc/a"},
		"back":             {file(entry("secrets", "identity: {}", own, kms("k"))), back("secrets"), "identity", "kms-v2/strongkeep kms-v2/k"},
		"there already":    {file(entry("secrets", own)), goal("secrets"), "kms strongkeep", ""},
		"others untouched": {file(entry("secrets", own, "identity: {}"), entry("configmaps", kms("k"), "identity: {}")), goal("secrets"), "kms strongkeep", "clear"},
		"a wildcard":       {file(entry("'*.*'", own, "identity: {}")), goal("*.*"), "kms strongkeep", "clear"},
	} {
		before := parse(t, c.from)
		next, err := before.Final(c.g)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var lost []string
		for _, l := range config.Losses(before, next) {
			lost = append(lost, l.Under)
		}
		if got := strings.Join(lost, " "); writers(next, "secrets") != c.want || got != c.lost || !next.Alone(c.g) || (c.lost == "") != (next == before) {
			t.Errorf("%s: %s, lost %s", name, writers(next, "secrets"), got)
		}
		if c.lost != "" && (!errs.Is(config.Follows(before, next, config.Allow{Clear: c.g.Back}), errs.Invalid) || config.Follows(before, next, config.Allow{Loss: true}) != nil) {
			t.Errorf("%s: it is allowed without a proof, or not with one", name)
		}
	}
	for name, c := range map[string]struct {
		from string
		kind errs.Kind
		want string
	}{
		"it does not write": {file(entry("secrets", "identity: {}", own)), errs.Conflict, "do the steps before it"},
		"no file":           {"", errs.Conflict, "there is no file"},
		"not there":         {file(entry("configmaps", "identity: {}")), errs.Conflict, "do the steps before it"},
		"more in its entry": {file(entry("secrets, configmaps", own, "identity: {}")), errs.Invalid, "configmaps is in the same entry"},
	} {
		f := &config.File{}
		if c.from != "" {
			f = parse(t, c.from)
		}
		if next, err := f.Final(goal("secrets")); !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %s", name, next, err, c.want)
		}
	}
	// A key that is replaced under its own name cannot be told from the new one in etcd.
	namesake := strings.Replace(file(entry("secrets", aes("a"))), key, strings.ReplaceAll(key, key[:4], "AAAA"), 1)
	if err := config.Follows(parse(t, file(entry("secrets", aes("a")))), parse(t, namesake), config.Allow{Loss: true}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "a name of its own") {
		t.Errorf("another key of the same name: %v", err)
	}
}
