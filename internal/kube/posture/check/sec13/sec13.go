package sec13

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/repo"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// ID is stable.
const ID = "SEC-13"

// Check returns the check.
func Check() check.Check {
	return check.Check{ID: ID, Title: "No secrets are in Git repositories, deleted commits included", Needs: []string{"repos", "secrets"}, Judge: judge}
}

func judge(in *check.Input) check.Verdict {
	if len(in.Repos) == 0 {
		return check.Verdict{Answer: check.Unknown, Summary: "No repository was looked at", Needs: []string{"--repo DIR: a clone, with all its history (git clone --mirror)"}}
	}
	v := check.Verdict{}
	wanted := repo.Live(in.Snapshot)
	owners := live(in, wanted)
	certain, texts, binary, unreachable, history, compared := 0, 0, 0, 0, true, true
	for i := range in.Repos {
		r := &in.Repos[i]
		texts, binary, unreachable = texts+r.Blobs-r.Binary, binary+r.Binary, unreachable+r.Unreachable
		if r.Closed > 0 {
			v.Needs = append(v.Needs, fmt.Sprintf("another look at %s: %d of its file versions are archives, key stores or databases, and were not opened", r.Place, r.Closed))
		}
		if r.Binary > 0 && r.Binary >= r.Blobs {
			v.Needs = append(v.Needs, fmt.Sprintf("another look at %s: its %d file versions are no text (images, archives), and none was looked into", r.Place, r.Binary))
		}
		history, compared = history && r.Git, compared && r.Compared > 0
		v.Evidence = append(v.Evidence, check.Evidence{Object: snapshot.Ref{Kind: "Repository", Name: r.Place}, Fact: seen(r)})
		found, sure := findings(r, wanted, owners)
		v.Findings = append(v.Findings, found...)
		certain += sure
	}
	v.Summary = fmt.Sprintf("%d file versions were looked into, and have %d secrets for certain and %d probable ones; %d are no text and were not; of all, nothing reaches %d any more",
		texts, certain, len(v.Findings)-certain, binary, unreachable)
	switch {
	case certain > 0:
		v.Answer = check.No
	case len(v.Findings) > 0:
		v.Answer = check.Partly
	default:
		v.Answer, v.Needs = unseen(v.Needs, history, compared)
	}
	return v
}

// unseen is the answer where nothing was found, and what it takes to tell beside needs.
func unseen(needs []string, history, compared bool) (check.Answer, []string) {
	if !history {
		needs = append(needs, "a clone with its history: a folder has none")
	}
	if !compared {
		needs = append(needs, "the values of the cluster's Secrets to look for: get and list on secrets, and one --key-file")
	}
	if len(needs) > 0 {
		return check.Unknown, needs
	}
	return check.Yes, nil
}

func seen(r *snapshot.Repo) string {
	binary := ""
	if r.Binary > 0 {
		binary = fmt.Sprintf("; %d others are no text (images, archives) and were not looked into", r.Binary)
	}
	if !r.Git {
		return fmt.Sprintf("%d files of a folder without history were looked at", r.Blobs-r.Binary) + binary
	}
	return fmt.Sprintf("%d file versions were looked at, and compared with %d values of the cluster%s; of all, no branch or tag reaches %d", r.Blobs-r.Binary, r.Compared, binary, r.Unreachable)
}

// live are the Secrets that have a value which stands in a repository, by its print.
func live(in *check.Input, wanted map[fingerprint.Print]bool) map[fingerprint.Print][]string {
	out := map[fingerprint.Print][]string{}
	leaked := leaked(in)
	if len(leaked) == 0 {
		return out
	}
	for i := range in.Secrets {
		s := &in.Secrets[i]
		for j := range s.Values {
			for _, p := range s.Values[j].Prints {
				if _, ok := wanted[p.Print]; ok && leaked[p.Print] {
					out[p.Print] = append(out[p.Print], s.Namespace+"/"+s.Name+" "+s.Values[j].Field)
				}
			}
		}
	}
	return out
}

// leaked are the prints of what stands in repositories.
func leaked(in *check.Input) map[fingerprint.Print]bool {
	out := map[fingerprint.Print]bool{}
	for i := range in.Repos {
		for j := range in.Repos[i].Leaks {
			for _, p := range in.Repos[i].Leaks[j].Value.Prints {
				out[p.Print] = true
			}
		}
	}
	return out
}

// findings has one for each leak, and how many of them are certain.
func findings(r *snapshot.Repo, wanted map[fingerprint.Print]bool, owners map[fingerprint.Print][]string) (out []check.Finding, certain int) {
	count := map[string]int{}
	for i := range r.Leaks {
		l := &r.Leaks[i]
		f := check.Finding{
			Object: snapshot.Ref{Group: "git", Kind: "File", Name: path.Base(r.Place) + ":" + l.File}, Place: fmt.Sprintf("%s: %s", r.Place, at(l)),
			Fix: check.Fix{Text: advice(l)},
		}
		for i := range l.Value.Prints {
			if p := &l.Value.Prints[i]; repo.Stands(wanted, p) {
				f.Affected = append(f.Affected, owners[p.Print]...)
			}
		}
		slices.Sort(f.Affected)
		f.Affected = slices.Compact(f.Affected)
		f.Count = len(f.Affected)
		f.Affected = f.Affected[:min(200, len(f.Affected))]
		var sure bool
		f.Rule, f.Severity, f.Message, sure = what(l, f.Count)
		f.Message += ", " + state(l)
		if sure {
			certain++
		}
		f.Field = cmp.Or(l.Value.Field, string(l.Value.Looks), "value")
		key := f.Object.Name + f.Field + f.Rule
		if count[key]++; count[key] > 1 {
			f.Field = fmt.Sprintf("%s (%d)", f.Field, count[key])
		}
		out = append(out, f)
	}
	return out, certain
}

// what is wrong with a leak, and whether it is certain.
func what(l *snapshot.Leak, live int) (rule string, s check.Severity, message string, certain bool) {
	switch {
	case live > 0:
		return "LiveValue", check.Critical, fmt.Sprintf("A value that %d Secrets of the cluster have now stands here", live), true
	case strings.HasPrefix(l.Value.Field, "data.") || strings.HasPrefix(l.Value.Field, "stringData."):
		return "Manifest", lower(l, check.High), "A manifest of a Secret has its value in clear (base64 is no encryption)", !test(l.File)
	case l.Value.Looks == snapshot.LooksPrivateKey:
		return "PrivateKey", lower(l, check.High), "A private key that is not encrypted", false
	case l.Value.Looks == snapshot.LooksToken:
		return "Token", lower(l, check.High), "A token, by its issuer's prefix", false
	case l.Value.Looks == snapshot.LooksURL:
		return "PasswordURL", lower(l, check.Medium), "A URL with a password", false
	}
	return "Value", lower(l, check.Medium), "A value that the cluster had when this was looked at", false
}

// lower is the severity of what stands among tests: mostly made up, and not always.
func lower(l *snapshot.Leak, s check.Severity) check.Severity {
	if test(l.File) {
		return check.Low
	}
	return s
}

func test(file string) bool {
	for _, part := range strings.Split(strings.ToLower(file), "/") {
		switch part {
		case "test", "tests", "testdata", "__tests__", "spec", "fixtures", "vendor", "node_modules", "third_party":
			return true
		}
	}
	base := path.Base(file)
	return strings.HasSuffix(base, "_test.go") || strings.HasPrefix(base, "test_") || strings.Contains(base, ".test.") || strings.Contains(base, ".spec.")
}

// at is where a leak is.
func at(l *snapshot.Leak) string {
	if l.Commit == "" {
		return fmt.Sprintf("%s:%d", l.File, l.Line)
	}
	return fmt.Sprintf("%s:%s:%d", l.Commit[:min(12, len(l.Commit))], l.File, l.Line)
}

func state(l *snapshot.Leak) string {
	switch {
	case l.Present:
		return "in the newest commit too"
	case l.Unreachable:
		return "in a commit or object that nothing reaches any more, until Git collects it"
	}
	return "not in the newest commit any more, but in history"
}

// advice is what to do.
func advice(l *snapshot.Leak) string {
	const change = "Change the value where it is used: whoever has a clone has it. "
	switch {
	case l.Present:
		return change + "Then put it into a vault, let an ExternalSecret make the Secret, and take it out of the file"
	case l.Unreachable:
		return change + "Then: git reflog expire --expire=now --all && git gc --prune=now, and ask the host of the repository to do the same"
	}
	return change + "Taking it out of history (git filter-repo) is of use only after that"
}
