package evidence_test

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	. "github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
)

func changed(c *consumer.Change) func(*Input) { return func(in *Input) { in.Secrets[0].Changed = c } }

func anew(in *Input)   { in.Anew = true }
func goBack(in *Input) { in.Back = true }

// another is a second Secret of the credential, in which the password changed.
func another(in *Input) {
	in.Secrets = append(in.Secrets, consumer.Fed{Object: object("Secret", "shop", "other"), Version: "7", Digest: "o7", Changed: password})
}

// Of a Secret with host, username and password only what changed proves anything.
func TestOnlyWhatChangedProves(t *testing.T) {
	mounts := func(keys ...string) consumer.Use {
		u := consumer.Use{Kind: consumer.UseVolume, Secret: "db", Volume: "v", Container: "app", Where: "/etc/db"}
		for _, k := range keys {
			if u.Items == nil {
				u.Items = map[string]string{}
			}
			u.Items[k] = k
		}
		return u
	}
	only, none := &consumer.Change{Keys: []string{"password"}}, &consumer.Change{}
	unsure := &consumer.Change{Unsure: true}
	fresh := stamp("secret/db=d7")
	file := require(v1alpha1.EvidenceFile)
	for name, c := range map[string]struct {
		change []func(*Input)
		proven bool
		never  bool
		says   string
	}{
		"restarted":                           {[]func(*Input){fresh, changed(only)}, true, false, ""},
		"restarted, and nothing changed":      {[]func(*Input){fresh, changed(none)}, false, true, "changed no value of Secret db: it is the same credential again"},
		"nothing changed here, but elsewhere": {[]func(*Input){fresh, changed(none), another}, true, false, ""},
		"older operator":                      {[]func(*Input){fresh, changed(nil)}, false, true, "does not say which of its keys changed with version 7: an older operator"},
		"older operator, going back":          {[]func(*Input){fresh, changed(nil), goBack}, true, false, ""},
		"same again, going back":              {[]func(*Input){fresh, changed(none), goBack}, true, false, ""},
		"made anew":                           {[]func(*Input){fresh, changed(unsure)}, true, false, ""},
		"the first turn":                      {[]func(*Input){fresh, changed(nil), anew}, true, false, ""},
		"files awaited":                       {[]func(*Input){changed(only), uses(mounts()), file}, false, false, "the node has not shown the file"},
		"file of the password awaited":        {[]func(*Input){changed(only), uses(mounts("host", "password")), file}, false, false, "the node has not shown the file"},
		"mounts only host":                    {[]func(*Input){changed(only), uses(mounts("host")), file}, false, true, "it cannot be proven by files: it mounts host of Secret db only, which version 7 did not change"},
		"mounts only host, first turn":        {[]func(*Input){changed(only), uses(mounts("host")), file, anew}, false, false, "the node has not shown the file"},
		"mounts only host, not restarted":     {[]func(*Input){changed(only), uses(mounts("host")), method(v1alpha1.RolloutNone)}, false, true, "mounts host of Secret db only"},
		"mounts only host, restarted":         {[]func(*Input){changed(only), uses(mounts("host")), fresh}, true, false, ""},
		"files of what was made anew":         {[]func(*Input){changed(unsure), uses(mounts()), file}, false, true, "its files prove nothing: it was made anew"},
		"files of an older operator":          {[]func(*Input){changed(nil), uses(mounts()), file}, false, true, "written by an older operator"},
		"files where nothing changed":         {[]func(*Input){changed(none), another, uses(mounts()), file}, false, true, "changed no value of Secret db, so that its files prove nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			j := Judge(input(c.change...))
			p := j.Pods[0]
			if p.Proven != c.proven || (len(j.Never) > 0) != c.never || !strings.Contains(p.Missing, c.says) {
				t.Errorf("proven %v, never %v, missing %q", p.Proven, j.Never, p.Missing)
			}
		})
	}
}
