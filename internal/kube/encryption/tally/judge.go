package tally

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// under is what a value with a prefix is under, as stored.Under.Provider names it. The
// counters do not tell the names of keys of aescbc, aesgcm and secretbox.
func under(prefix string) string {
	rest, ok := strings.CutPrefix(prefix, "k8s:enc:")
	if !ok {
		return string(stored.Clear)
	}
	parts := strings.Split(rest, ":")
	if parts[0] == "kms" && len(parts) > 2 {
		return "kms-" + parts[1] + "/" + parts[2]
	}
	return parts[0]
}

// grown is how much counters grew, by what values are under.
func grown(of [2]meter.Reading, resource string) map[string]int {
	out := map[string]int{}
	for op, n := range of[1].Operations {
		if op.Resource == resource && op.Type == meter.FromStorage {
			if more := int(n - of[0].Operations[op]); more != 0 {
				out[under(op.Prefix)] += more
			}
		}
	}
	return out
}

// sums are over all resources.
type sums struct {
	objects, values, clear, broken, others int
	short                                  string // a resource of which less was counted than read
	empty                                  string // a resource without objects
}

// judge answers by what was read and what the counters grew by meanwhile. Others read and
// write at the same time: so a value in the clear that was counted was there, and how
// many there are is not known.
func judge(cfg *Config, at string, of [2]meter.Reading, all []counted) *stored.Report {
	r := &stored.Report{Origin: stored.Origin{Source: "the counters of the API server " + at + ", which is weaker evidence than etcd", Instants: 0}}
	provider := cfg.Provider
	if provider != "" && !strings.Contains(provider, "/") {
		provider = string(stored.KMSv2) + "/" + provider
	}
	var s sums
	for i := range all {
		s.add(r, &all[i], grown(of, all[i].counts), provider)
	}
	most := cmp.Or(cfg.Most, 1000)
	r.Findings = r.Findings[:min(len(r.Findings), most)]
	why := s.unsure(of)
	r.Answers = []stored.Answer{s.encrypted(why), s.provider(why, provider), s.key(why, cfg.KeyID, provider, of), {
		Question: "are values that were overwritten encrypted too?", Answer: stored.NotChecked, Detail: "API servers do not tell",
	}}
	return r
}

func (s *sums) add(r *stored.Report, c *counted, counts map[string]int, provider string) {
	res, values := stored.Resource{Name: c.name, Values: c.read + len(c.broken)}, 0
	for _, u := range slices.Sorted(maps.Keys(counts)) {
		n := counts[u]
		res.Under = append(res.Under, stored.Group{Provider: u, Values: n})
		values += n
		if u == string(stored.Clear) {
			s.clear += n
		}
		if u != provider {
			s.others += n
		}
	}
	for _, name := range c.broken {
		r.Findings = append(r.Findings, stored.Finding{Object: stored.Object{Resource: c.name, Name: name}, Why: "the API server could not read it"})
	}
	r.Found += len(c.broken)
	s.objects, s.values, s.broken = s.objects+c.read, s.values+values, s.broken+len(c.broken)
	if values < c.read {
		s.short = c.name
	}
	if c.read+len(c.broken) == 0 {
		s.empty = c.name
	}
	r.Resources = append(r.Resources, res)
}

// unsure is why the counters prove nothing, "" if they do.
func (s *sums) unsure(of [2]meter.Reading) string {
	switch {
	case of[0].Started == 0 || of[0].Started != of[1].Started || of[0].ID != of[1].ID:
		return "not one API server told both times, or it was started anew: name one API server's own address, with -server"
	case of[0].Hash != of[1].Hash:
		return "the API server took another configuration meanwhile: run this again"
	case s.short != "":
		return "the API server counted fewer values of " + s.short + " than were read: it has no EncryptionConfiguration for them, or another one read them: name one API server's own address, with -server"
	case s.empty != "":
		return "there is no object of " + s.empty
	}
	return ""
}

func (s *sums) encrypted(why string) stored.Answer {
	a := stored.Answer{Question: "is every value encrypted?", Answer: stored.Yes, Detail: fmt.Sprintf("%d objects were read from etcd, the API server counted %d values, and none in the clear", s.objects, s.values)}
	switch {
	case s.clear+s.broken > 0:
		a.Answer, a.Detail = stored.No, fmt.Sprintf("the API server read values in the clear %d times, and could not read %d objects; which are in the clear its counters do not say", s.clear, s.broken)
	case why != "":
		a.Answer, a.Detail = stored.NotChecked, why
	}
	return a
}

func (s *sums) provider(why, provider string) stored.Answer {
	a := stored.Answer{Question: "is every value under the provider?", Answer: stored.Yes, Detail: provider}
	switch {
	case provider == "":
		a.Answer, a.Detail = stored.NotChecked, "which one it should be was not told"
	case !strings.HasPrefix(provider, "kms-"):
		a.Answer, a.Detail = stored.NotChecked, "the counters do not tell the names of keys"
	case s.others+s.broken > 0:
		a.Answer, a.Detail = stored.No, fmt.Sprintf("the API server read values that are not under %s %d times, and could not read %d objects", provider, s.others, s.broken)
	case why != "":
		a.Answer, a.Detail = stored.NotChecked, why
	}
	return a
}

// key is never no: what was read under another key may be of another resource.
func (s *sums) key(why, id, provider string, of [2]meter.Reading) stored.Answer {
	a := stored.Answer{Question: "is every value under the key?", Answer: stored.NotChecked}
	name, v2 := strings.CutPrefix(provider, string(stored.KMSv2)+"/")
	if id == "" || !v2 {
		a.Detail = "which key id is the active one, and of which provider, was not told"
		return a
	}
	right, other := uses(of, name, id)
	switch {
	case why != "" || s.others+s.broken > 0:
		a.Detail = cmp.Or(why, "not every value is under the provider")
	case other > 0:
		a.Detail = fmt.Sprintf("values under other keys were read %d times, of these resources or of others", other)
	case right < s.objects:
		a.Detail = fmt.Sprintf("of %d objects the API server counted %d under %s", s.objects, right, id)
	default:
		a.Answer, a.Detail = stored.Yes, id
	}
	return a
}

// uses are how often values of a provider were read under a key, and under others.
func uses(of [2]meter.Reading, provider, id string) (right, other int) {
	for use, n := range of[1].Used {
		more := int(n - of[0].Used[use])
		switch {
		case use.Type != meter.FromStorage || use.Provider != provider:
		case use.KeyHash == meter.HashOf(id):
			right += more
		default:
			other += more
		}
	}
	return right, other
}
