package rollout

import (
	"maps"
	"slices"
	"strings"
)

// AnnotationStamp is on pod templates, and so on pods: what the objects that
// the pod uses held when the template was written.
//
//	secret/NAME=DIGEST,configmap/NAME=DIGEST
//
// ordered by name; DIGEST is target.Key's keyed digest of the content. On the
// workload itself it is what its pods were last restarted for, or were found
// with when they were first looked at: that restarts nothing, and stays when a
// tool resets the template.
const AnnotationStamp = "strongkeep.io/content"

// AnnotationBefore is on pods that were there when what they use came to hold
// what is wanted now, where templates carry no stamp (method Evict): what it held
// before, written as a stamp is; any text that is no digest stands for what is not
// known. An entry is never overwritten while the pod lives: its containers
// started with the first. A pod without an entry was created later.
const AnnotationBefore = "strongkeep.io/content-before"

// AnnotationMarked is on a workload with method Evict: once it has a content,
// each of its pods that has neither AnnotationBefore nor AnnotationStamp for it
// was created after the content was there. It then gets AnnotationStamp.
const AnnotationMarked = "strongkeep.io/marked"

// FieldManager owns these annotations by server-side apply, and nothing else.
const FieldManager = "strongkeep-rollout"

// Stamp is what a pod template says of the content it is for: "secret/NAME" or
// "configmap/NAME" to digest.
type Stamp map[string]string

// ParseStamp reads an annotation. What it does not understand it leaves out:
// it then differs from what is wanted, and is written anew.
func ParseStamp(s string) Stamp {
	stamp := Stamp{}
	for part := range strings.SplitSeq(s, ",") {
		name, digest, ok := strings.Cut(part, "=")
		if ok && name != "" && digest != "" {
			stamp[name] = digest
		}
	}
	return stamp
}

// String returns the annotation's value.
func (s Stamp) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name)
		b.WriteByte('=')
		b.WriteString(s[name])
	}
	return b.String()
}

// Has reports whether s says that everything in wanted has that content.
func (s Stamp) Has(wanted Stamp) bool {
	for name, digest := range wanted {
		if s[name] != digest {
			return false
		}
	}
	return true
}

// with returns s and what is in other, which counts where both say something.
func (s Stamp) with(other Stamp) Stamp {
	out := maps.Clone(s)
	maps.Copy(out, other)
	return out
}
