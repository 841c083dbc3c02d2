package file

import (
	"context"
	"crypto/hmac"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
	"github.com/strongkeep/strongkeep/internal/kube/witness"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// mounted is a file of a pod, and what it should hold.
type mounted struct {
	witness.File
	pod    types.UID
	secret string
	value  redact.Secret
}

// wanted returns the files to ask for, by node. Pods whose Secrets cannot be read,
// or that are on no node, get their word in out.
func wanted(ctx context.Context, q Question, pods []consumer.Pod, out map[types.UID]evidence.Word) map[string][]mounted {
	fed := make(map[consumer.Object]bool, len(q.Fed))
	for i := range q.Fed {
		fed[consumer.Object{Cluster: q.Fed[i].Cluster, NamespacedName: q.Fed[i].NamespacedName}] = true
	}
	secrets := reader{q: q, fed: fed, read: map[consumer.Object]reading{}}
	byNode := map[string][]mounted{}
	for i := range pods {
		p := &pods[i]
		files, mounts, why := secrets.of(ctx, p)
		switch {
		case !mounts:
		case why != "":
			out[p.UID] = evidence.Word{Text: why}
		case p.Node == "":
			out[p.UID] = evidence.Word{Text: "the pod is on no node yet"}
		case len(files) == 0:
			out[p.UID] = evidence.Word{Text: "it mounts no key that is known to have changed with this version"}
		default:
			byNode[p.Node] = append(byNode[p.Node], unique(files)...)
		}
	}
	return byNode
}

// reader reads the Secrets of one question, each once.
type reader struct {
	q    Question
	fed  map[consumer.Object]bool
	read map[consumer.Object]reading
}

type reading struct {
	values map[string]redact.Secret
	err    error
}

// of returns the files of p that hold the credential, whether there are any
// mounts of it, and why they cannot be asked for.
func (r reader) of(ctx context.Context, p *consumer.Pod) (files []mounted, mounts bool, why string) {
	for _, u := range p.Uses {
		secret := consumer.Object{Cluster: p.Cluster, NamespacedName: types.NamespacedName{Namespace: p.Namespace, Name: u.Secret}}
		if !asFiles(u) || !r.fed[secret] {
			continue
		}
		if p.Cluster != "" {
			return nil, true, "nodes of other clusters are not reached"
		}
		got, ok := r.read[secret]
		if !ok {
			got.values, got.err = r.q.Contents(ctx, secret)
			r.read[secret] = got
		}
		if got.err != nil {
			return nil, true, "Secret " + u.Secret + " cannot be read, or does not hold the version wanted"
		}
		files, mounts = append(files, filesOf(p, u, got.values)...), true
	}
	return files, mounts, ""
}

// asFiles reports whether a use puts files on the node that can be compared with
// the Secret. Of a CSI volume that is known only where its keys are named.
func asFiles(u consumer.Use) bool {
	switch u.Kind {
	case consumer.UseVolume, consumer.UseProjected:
		return u.Volume != ""
	case consumer.UseCSI:
		return u.Volume != "" && len(u.Items) > 0
	}
	return false
}

func filesOf(p *consumer.Pod, u consumer.Use, values map[string]redact.Secret) []mounted {
	items := u.Items
	if items == nil {
		items = make(map[string]string, len(values))
		for key := range values {
			items[key] = key
		}
	}
	var out []mounted
	for _, key := range slices.Sorted(maps.Keys(items)) {
		if value, ok := values[key]; ok {
			out = append(out, mounted{witness.File{Pod: string(p.UID), Volume: u.Volume, Path: strings.TrimSuffix(items[key], "/")}, p.UID, u.Secret, value})
		}
	}
	return out
}

// unique leaves out what several containers mount alike.
func unique(files []mounted) []mounted {
	seen := map[witness.File]bool{}
	return slices.DeleteFunc(files, func(f mounted) bool {
		was := seen[f.File]
		seen[f.File] = true
		return was
	})
}

// judge compares an answer with what is wanted.
func (f *mounted) judge(key []byte, said witness.Said) evidence.Word {
	where := "volume " + f.Volume + ", " + f.Path
	switch {
	case said.Reason != "":
		return evidence.Word{Text: where + ": " + reason(said.Reason)}
	case hmac.Equal(said.Digest, evidence.Digest(key, f.value.Reveal())):
		return evidence.Word{Answer: evidence.Yes, Text: where + ": as Secret " + f.secret + " has it"}
	}
	return evidence.Word{Answer: evidence.No, Text: where + ": not as Secret " + f.secret + " has it"}
}

// reason bounds what a node says.
func reason(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), 120)], "")
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, s)
}

// and is the word on both of two files: the worse one.
func and(a, b evidence.Word) evidence.Word {
	worse := func(w evidence.Word) int {
		switch {
		case w == evidence.Word{}:
			return 0 // nothing yet
		case w.Answer == evidence.No:
			return 3
		case w.Answer == evidence.Unknown:
			return 2
		}
		return 1
	}
	if worse(a) >= worse(b) {
		return a
	}
	return b
}
