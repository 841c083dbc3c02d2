package stored

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Config says what to look at, and what is expected of it.
type Config struct {
	Prefix string // "" is DefaultPrefix
	// Resources are RESOURCE or RESOURCE.GROUP, *.GROUP for a group of custom resources,
	// or *.* alone for everything.
	Resources []string
	// Provider that everything should be under, as Under.Provider writes it; "" means
	// that any will do, and is said to be not checked.
	Provider string
	// KeyID that everything of KMS v2 should be under; "" as above.
	KeyID string
	// Most bounds the findings that are named; all are counted. 0 is 1,000.
	Most int
	// Each, if not nil, is called with every value, also superseded ones. The entry's
	// bytes are the source's, and only for the time of the call.
	Each func(Object, Under, Entry)
}

// Source reads all stored values below some folders.
type Source interface {
	// Read calls visit for each value below a folder. No folder is below another.
	Read(ctx context.Context, folders []string, visit func(Entry)) (Origin, error)
}

// Entry is one value. Its bytes are the source's, and only for the time of the call.
type Entry struct {
	Key   []byte
	Value []byte
	// Superseded is a value that a later one has taken the place of.
	Superseded bool
	// Revision is the one that wrote it, as the object's resourceVersion.
	Revision int64
}

// Origin is what was read.
type Origin struct {
	Source   string `json:"source"`   // for people
	Revision int64  `json:"revision"` // of etcd, the last that was read
	// Instants is how many revisions were read: 1 is the state of one moment. etcd
	// forgets revisions; what was there all the time was seen all the same.
	Instants int `json:"instants"`
	// History reports whether superseded values were read too.
	History bool `json:"history"`
}

// Report is the answer.
type Report struct {
	Origin
	Resources []Resource `json:"resources"`
	Answers   []Answer   `json:"answers"`
	// Findings are values that are not as they should be, and Found counts them all.
	Findings []Finding `json:"findings"`
	Found    int       `json:"found"`
}

// Resource is what there is of one.
type Resource struct {
	Name   string  `json:"resource"`
	Values int     `json:"values"`
	Under  []Group `json:"under"`
	// SupersededClear counts values in the clear that later ones took the place of.
	SupersededClear int `json:"superseded_clear"`
}

// Group are values under one key.
type Group struct {
	Provider string `json:"provider"`
	KeyID    string `json:"key_id,omitempty"`
	Values   int    `json:"values"`
}

// Finding is a value that is not as it should be.
type Finding struct {
	Object
	Provider string `json:"provider"`
	KeyID    string `json:"key_id,omitempty"`
	Why      string `json:"why"`
}

// The answers to a question.
const (
	Yes        = "yes"
	No         = "no"
	NotChecked = "not checked"
)

// Answer is one to a question about all values.
type Answer struct {
	Question string `json:"question"`
	Answer   string `json:"answer"`
	Detail   string `json:"detail"`
}

// place is one resource and its folder.
type place struct {
	folder   string
	resource int // index in the report; of a wildcard -1: each is found by its key
	wildcard string
}

type verifier struct {
	cfg    Config
	places []place
	report Report
	groups []map[Under]int
	bad    map[string]int // findings by reason
	found  map[string]int // index in the report of what a wildcard covers
	seen   map[string]int // values by wildcard
	notKey int            // values that are not under the key, whatever else is wrong with them
}

// Verify reads all values of the resources and says what they are under. Errors are
// Invalid (the configuration), and what the source says.
func Verify(ctx context.Context, from Source, cfg Config) (*Report, error) {
	v, err := newVerifier(cfg)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, p := range v.places {
		all = append(all, p.folder)
	}
	if v.report.Origin, err = from.Read(ctx, all, v.see); err != nil {
		return nil, err
	}
	v.finish()
	return &v.report, nil
}

func newVerifier(cfg Config) (*verifier, error) {
	cfg.Prefix, cfg.Most = cmp.Or(cfg.Prefix, DefaultPrefix), cmp.Or(cfg.Most, 1000)
	if len(cfg.Resources) == 0 {
		return nil, errs.New(errs.Invalid, "no resource is named: name at least secrets")
	}
	if cfg.Provider != "" && !strings.Contains(cfg.Provider, "/") {
		cfg.Provider = string(KMSv2) + "/" + cfg.Provider
	}
	v := &verifier{cfg: cfg, bad: map[string]int{}, found: map[string]int{}, seen: map[string]int{}}
	for i, text := range cfg.Resources {
		if slices.Contains(cfg.Resources[:i], text) {
			return nil, errs.Newf(errs.Invalid, "resource %s is named twice", text)
		}
		if err := v.add(text); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// add finds out where a resource lies, or what a wildcard covers.
func (v *verifier) add(text string) error {
	at := place{resource: -1, wildcard: text}
	folder, err := wild(v.cfg.Prefix, text)
	all := []string{folder}
	if folder == "" && err == nil {
		var r schema.GroupResource
		if r, err = parseResource(text); err == nil {
			at, all = place{resource: v.resource(text)}, folders(v.cfg.Prefix, r)
		}
	}
	if err != nil {
		return err
	}
	for _, at.folder = range all {
		if slices.ContainsFunc(v.places, func(p place) bool {
			return strings.HasPrefix(p.folder, at.folder) || strings.HasPrefix(at.folder, p.folder)
		}) {
			return errs.Newf(errs.Invalid, "resource %s is stored as another one that is named, or covered by it: name one of them", text)
		}
		v.places = append(v.places, at)
	}
	return nil
}

// resource makes one more in the report, and returns its index.
func (v *verifier) resource(name string) int {
	v.report.Resources = append(v.report.Resources, Resource{Name: name})
	v.groups = append(v.groups, map[Under]int{})
	return len(v.groups) - 1
}

// locate returns the index of what lies at a key of a place, and the object's name; -1
// for what is never encrypted.
func (v *verifier) locate(p *place, key string) (index int, name string) {
	if p.resource >= 0 {
		return p.resource, key[len(p.folder):]
	}
	resource, name, ok := storedAt(key[len(strings.TrimSuffix(v.cfg.Prefix, "/"))+1:])
	if !ok {
		return -1, ""
	}
	v.seen[p.wildcard]++
	index, known := v.found[resource]
	if !known {
		index = v.resource(resource)
		v.found[resource] = index
	}
	return index, name
}

func (v *verifier) see(e Entry) {
	for i := range v.places {
		p := &v.places[i]
		if len(e.Key) <= len(p.folder) || string(e.Key[:len(p.folder)]) != p.folder {
			continue
		}
		if index, name := v.locate(p, string(e.Key)); index >= 0 {
			v.value(index, name, e)
		}
		return
	}
}

// value takes one of a resource.
func (v *verifier) value(index int, name string, e Entry) {
	r, u := &v.report.Resources[index], Parse(e.Value)
	if v.cfg.Each != nil {
		v.cfg.Each(Object{r.Name, name}, u, e)
	}
	if e.Superseded {
		if u.Kind == Clear {
			r.SupersededClear++
		}
		return
	}
	r.Values++
	v.groups[index][u]++
	if u.KeyID != v.cfg.KeyID {
		v.notKey++
	}
	if why := v.wrong(u); why != "" {
		v.bad[why]++
		v.report.Found++
		if len(v.report.Findings) < v.cfg.Most {
			v.report.Findings = append(v.report.Findings, Finding{Object{r.Name, name}, u.Provider(), u.KeyID, why})
		}
	}
}

// Why a value is a finding.
const (
	inTheClear    = "in the clear"
	unreadable    = "claims to be encrypted, and no API server can read it"
	otherProvider = "under another provider"
	otherKey      = "under another key"
)

// wrong says why a value is a finding, "" if it is none.
func (v *verifier) wrong(u Under) string {
	switch {
	case u.Kind == Clear:
		return inTheClear
	case u.Kind == Broken:
		return unreadable
	case v.cfg.Provider != "" && u.Provider() != v.cfg.Provider:
		return otherProvider
	case v.cfg.KeyID != "" && u.KeyID != v.cfg.KeyID:
		return otherKey
	}
	return ""
}

func (v *verifier) finish() {
	values, old := 0, 0
	var empty []string
	for i := range v.report.Resources {
		r := &v.report.Resources[i]
		values, old = values+r.Values, old+r.SupersededClear
		if _, covered := v.found[r.Name]; r.Values == 0 && !covered {
			empty = append(empty, r.Name)
		}
		for _, u := range slices.SortedFunc(maps.Keys(v.groups[i]), compare) {
			r.Under = append(r.Under, Group{u.Provider(), u.KeyID, v.groups[i][u]})
		}
	}
	for _, p := range v.places {
		if p.resource < 0 && v.seen[p.wildcard] == 0 {
			empty = append(empty, p.wildcard)
		}
	}
	slices.SortFunc(v.report.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Name, b.Name))
	})
	v.report.Answers = []Answer{v.encrypted(values), v.provider(values), v.key(values), v.history(old)}
	for i := range v.report.Answers {
		v.report.Answers[i].unless(empty, v.cfg.Prefix)
	}
}

// unless takes a yes back where a resource has no value: nothing was looked at.
func (a *Answer) unless(empty []string, prefix string) {
	if a.Answer == Yes && len(empty) > 0 {
		a.Answer = NotChecked
		a.Detail = fmt.Sprintf("etcd has no value of %s below %s: is this the right name, and the right etcd?", strings.Join(empty, ", "), prefix)
	}
}

func compare(a, b Under) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.KeyID, b.KeyID))
}

func (v *verifier) encrypted(values int) Answer {
	a := Answer{Question: "is every value encrypted?", Answer: Yes, Detail: fmt.Sprintf("%d values were read", values)}
	if clear, broken := v.bad[inTheClear], v.bad[unreadable]; clear+broken > 0 {
		a.Answer, a.Detail = No, fmt.Sprintf("of %d values %d are in the clear and %d are broken", values, clear, broken)
	}
	return a
}

func (v *verifier) provider(values int) Answer {
	a := Answer{Question: "is every value under the provider?", Answer: Yes, Detail: v.cfg.Provider}
	switch n := v.bad[inTheClear] + v.bad[unreadable] + v.bad[otherProvider]; {
	case v.cfg.Provider == "":
		a.Answer, a.Detail = NotChecked, "which one it should be was not told"
	case n > 0:
		a.Answer, a.Detail = No, fmt.Sprintf("%d of %d values are not under %s", n, values, v.cfg.Provider)
	}
	return a
}

func (v *verifier) key(values int) Answer {
	a := Answer{Question: "is every value under the key?", Answer: Yes, Detail: v.cfg.KeyID}
	switch {
	case v.cfg.KeyID == "":
		a.Answer, a.Detail = NotChecked, "which key id is the active one was not told"
	case v.notKey > 0:
		a.Answer, a.Detail = No, fmt.Sprintf("%d of %d values are not under %s", v.notKey, values, v.cfg.KeyID)
	}
	return a
}

func (v *verifier) history(old int) Answer {
	a := Answer{Question: "are values that were overwritten encrypted too?", Answer: Yes, Detail: "as far as etcd has their revisions; freed pages of the file were not looked at"}
	switch {
	case !v.report.History:
		a.Answer, a.Detail = NotChecked, "etcd tells them in a snapshot only"
	case old > 0:
		a.Answer, a.Detail = No, fmt.Sprintf("%d are in the clear, and go when etcd is compacted, which API servers have it do every 5 minutes", old)
	}
	return a
}

// Holds reports whether no question was answered with no, and whether everything is
// encrypted for certain.
func (r *Report) Holds() bool {
	return r.Answers[0].Answer == Yes && !slices.ContainsFunc(r.Answers, func(a Answer) bool { return a.Answer == No })
}
