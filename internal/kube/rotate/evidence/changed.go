package evidence

import (
	"maps"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
)

// Only what changed with a version can tell it from the one before: a digest of a
// host's name is the same with both.

// unchanged says why the content of a Secret that holds the version wanted does not
// tell it from the one before; empty when it does. A Secret that stayed as it was
// while another changed holds nothing of what the turn replaces.
func (j *judge) unchanged(fed *consumer.Fed) string {
	switch {
	case j.Anew, j.Back: // the stamp tells what came between, if anything did
		return ""
	case fed.Changed == nil:
		return "Secret " + fed.Name + " does not say which of its keys changed with version " + j.Version +
			": an older operator wrote it; upgrade that one, and roll back this turn, or accept it"
	case consumer.SameValues(j.Secrets, j.Version):
		return "version " + j.Version + " changed no value of Secret " + fed.Name + ": it is the same credential again; roll back, and see why no new one was made"
	}
	return ""
}

// sameFiles says why no mounted file of the pod can tell the version wanted from
// the one before; empty when one can, or that is not known yet.
func (v *verdict) sameFiles() string { //nolint:cyclop // flat: a case after the other
	why := ""
	for _, u := range v.Uses {
		fed := v.j.fed[place{v.Cluster, v.Namespace, u.Secret}]
		if !asFile(u) || fed == nil {
			continue
		}
		if fed.Version != v.j.Version || v.j.Anew {
			return ""
		}
		keys := slices.Sorted(maps.Keys(u.Items))
		switch {
		case fed.Changed == nil || fed.Changed.Unsure:
			why = "which keys of Secret " + fed.Name + " changed with version " + v.j.Version + " is not known, so that its files prove nothing: it was made anew, edited by hand, or written by an older operator"
		case u.Items == nil && len(fed.Changed.Keys) > 0, slices.ContainsFunc(keys, func(k string) bool { return slices.Contains(fed.Changed.Keys, k) }):
			return ""
		case u.Items == nil:
			why = "version " + v.j.Version + " changed no value of Secret " + fed.Name + ", so that its files prove nothing"
		default:
			why = "it cannot be proven by files: it mounts " + strings.Join(keys, ", ") + " of Secret " + fed.Name + " only, which version " + v.j.Version + " did not change"
		}
	}
	if why == "" {
		return ""
	}
	return why + ": take File out of spec.proof.pod, or " + v.advice()
}
