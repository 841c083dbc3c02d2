package reload

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
)

// Annotations of Stakater's Reloader, on workloads or their pod templates. Match
// and ignore are on Secrets and ConfigMaps.
const (
	stakater        = "reloader.stakater.com/"
	annotationAuto  = stakater + "auto"
	annotationFind  = stakater + "search"
	annotationMatch = stakater + "match"
	// AnnotationIgnore on a workload leaves it alone too.
	annotationIgnore   = stakater + "ignore"
	annotationStrategy = stakater + "rollout-strategy"
	annotationPause    = "deployment." + stakater + "pause-period"
	annotationPausedAt = "deployment." + stakater + "paused-at"
)

// Settings is what a workload's annotations come to.
type Settings struct {
	// Way is rollout.ReloadRestart or ReloadSignal; "" when it is to be left alone.
	Way    string
	Method v1alpha1.RolloutMethod
	// Pause is how long the first change waits for others; 0: for the usual time.
	Pause time.Duration
	// Problems are annotations that are not understood, for people.
	Problems []string

	auto   map[content.Kind]bool
	search bool
	named  map[content.Kind][]*regexp.Regexp
	except map[content.Kind]map[string]bool
}

// prefixes of the annotations of one kind; the plural is in those that exclude.
func prefixes() map[content.Kind]string {
	return map[content.Kind]string{content.Secret: "secret", content.ConfigMap: "configmap"}
}

// Read reads the annotations of a workload and of its pod template. The latter
// count where the workload itself says nothing. It is pure.
func Read(workload, template map[string]string) Settings {
	from := workload
	if !speaks(workload) {
		from = template
	}
	s := Settings{
		Method: v1alpha1.RolloutTemplate,
		auto:   map[content.Kind]bool{}, named: map[content.Kind][]*regexp.Regexp{}, except: map[content.Kind]map[string]bool{},
	}
	all := s.flag(from, annotationAuto)
	s.search = s.flag(from, annotationFind)
	chosen := all || s.search
	for kind, prefix := range prefixes() {
		s.auto[kind] = s.flag(from, prefix+"."+annotationAuto) || all
		s.named[kind] = s.patterns(from, prefix+"."+stakater+"reload")
		s.except[kind] = map[string]bool{}
		for name := range strings.SplitSeq(workload[prefix+"s.exclude."+stakater+"reload"], ",") {
			s.except[kind][strings.TrimSpace(name)] = true
		}
		chosen = chosen || s.auto[kind] || len(s.named[kind]) > 0
	}
	if chosen {
		s.Way = rollout.ReloadRestart
	}
	s.ours(from, chosen)
	s.how(from, workload)
	if workload[annotationIgnore] == "true" {
		s.Way = ""
	}
	slices.Sort(s.Problems)
	return s
}

// speaks reports whether annotations choose what is reloaded.
func speaks(annotations map[string]string) bool {
	keys := []string{rollout.AnnotationReload, annotationAuto, annotationFind}
	for _, prefix := range prefixes() {
		keys = append(keys, prefix+"."+annotationAuto, prefix+"."+stakater+"reload")
	}
	return slices.ContainsFunc(keys, func(k string) bool { return annotations[k] != "" })
}

// ours reads strongkeep.io/reload, which counts most. Where Stakater's
// annotations choose objects they choose; else it is every one that is used.
func (s *Settings) ours(from map[string]string, chosen bool) {
	switch value := from[rollout.AnnotationReload]; value {
	case "":
		return
	case rollout.ReloadNone:
		s.Way = ""
		return
	case rollout.ReloadRestart, rollout.ReloadAuto:
		s.Way = rollout.ReloadRestart
	case rollout.ReloadSignal:
		s.Way = rollout.ReloadSignal
	default:
		s.problem("%s is %q: it can be restart, signal, none or auto", rollout.AnnotationReload, value)
		return
	}
	if !chosen {
		for kind := range prefixes() {
			s.auto[kind] = true
		}
	}
}

func (s *Settings) how(from, workload map[string]string) {
	switch value := from[annotationStrategy]; value {
	case "", "rollout":
	case "restart":
		s.Method = v1alpha1.RolloutEvict
	default:
		s.problem("%s is %q: it can be rollout or restart", annotationStrategy, value)
	}
	if value := workload[annotationPause]; value != "" {
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			s.problem("%s is %q: it is a duration such as 5m", annotationPause, value)
			return
		}
		s.Pause = d
	}
}

func (s *Settings) problem(format string, args ...any) {
	s.Problems = append(s.Problems, fmt.Sprintf(format, args...))
}

func (s *Settings) flag(from map[string]string, key string) bool {
	value := from[key]
	if value == "" {
		return false
	}
	yes, err := strconv.ParseBool(value)
	if err != nil {
		s.problem("%s is %q: it can be true or false", key, value)
	}
	return yes
}

// patterns reads names, separated by commas, each a regular expression that must
// match a whole name.
func (s *Settings) patterns(from map[string]string, key string) []*regexp.Regexp {
	var out []*regexp.Regexp
	for part := range strings.SplitSeq(from[key], ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		re, err := regexp.Compile("^(?:" + part + ")$")
		if err != nil {
			s.problem("%s: %q is no regular expression", key, part)
			continue
		}
		out = append(out, re)
	}
	return out
}

// Names reports whether an object is named: it counts although no pod uses it.
func (s *Settings) Names(kind content.Kind, name string) bool {
	return slices.ContainsFunc(s.named[kind], func(re *regexp.Regexp) bool { return re.MatchString(name) })
}

// Patterns reports whether objects of a kind are named.
func (s *Settings) Patterns(kind content.Kind) bool { return len(s.named[kind]) > 0 }

// Wants reports whether a change of an object counts. used says that pods use
// it, annotations are the object's own.
func (s *Settings) Wants(kind content.Kind, name string, used bool, annotations map[string]string) bool {
	switch {
	case s.Way == "" || annotations[annotationIgnore] == "true" || s.except[kind][name]:
		return false
	case s.Names(kind, name):
		return true
	}
	return used && (s.auto[kind] || s.search && annotations[annotationMatch] == "true")
}

// Keep reports whether an entry of a stamp stays although the template does not
// use the object: it is rollout.Config.Keep.
func Keep(annotations map[string]string, entry string) bool {
	o, ok := content.ParseEntry("", entry)
	if !ok {
		return false
	}
	s := Read(annotations, nil)
	return s.Names(o.Kind, o.Name)
}

// Relevant keeps of an object's annotations what matters here: for caches.
func Relevant(annotations map[string]string) map[string]string {
	out := maps.Clone(annotations)
	maps.DeleteFunc(out, func(k, _ string) bool {
		return !strings.Contains(k, stakater) && !strings.HasPrefix(k, "strongkeep.io/")
	})
	return out
}
