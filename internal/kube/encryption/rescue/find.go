package rescue

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Config says where to look, and with what.
type Config struct {
	From      stored.Source
	Prefix    string   // of API servers (--etcd-prefix); "" is stored.DefaultPrefix
	Resources []string // RESOURCE or RESOURCE.GROUP
	Only      []string // NAMESPACE/NAME or NAME of the objects that are meant; none is all
	Keys      *Keys    // those that API servers have
	Old       []*Keys  // others, that open what is written as a manifest
	// Gone are key ids, and providers as stored.Under.Provider names them, of which
	// people say that they will never be back.
	Gone    []string
	Backups []stored.Source // where older values may be
	Servers *Servers        // who may have keys in memory still; nil: nobody is asked
	// TheseAreAll says that Servers are all that there are, where no lease tells it.
	TheseAreAll bool
	// Readable keeps what opens too, of a snapshot: what is named with Only, or all of a Copy.
	Readable bool
}

// Report is what was found.
type Report struct {
	stored.Origin
	Read    int       `json:"read"`    // values; Names counts none
	Lost    []Finding `json:"lost"`    // what cannot be read, for certain
	Unknown []Finding `json:"unknown"` // what cannot be read now, and may be in a moment
	Servers []string  `json:"asked"`   // API servers that were asked
	// Readable opens, and was asked for: see Config.
	Readable []Finding `json:"readable,omitempty"`
}

// Finding is a value that does not open.
type Finding struct {
	stored.Object
	Provider string `json:"provider"`
	KeyID    string `json:"key_id,omitempty"`
	State    State  `json:"state"`
	Why      string `json:"why"`
	Revision int64  `json:"revision,omitempty"`
	// Readers are the API servers that read it still, from memory.
	Readers []string `json:"readers,omitempty"`
	// Unclear are the API servers that do not say whether they read it.
	Unclear []string `json:"unclear,omitempty"`
	// Deletable is what no API server reads that was asked, and whose key is there, or is
	// gone for ever as people say: what one node's plugin or file lacks, others may have.
	Deletable bool `json:"deletable"`
	// Values are those that open, the newest first.
	Values []Value `json:"values,omitempty"`
	// Do is what can be done, the best first.
	Do []string `json:"do"`

	key, content []byte // in etcd
	asked        State  // whatever people said
}

// Value is one of an object that opens. It is not printed.
type Value struct {
	Source     string `json:"source"`
	Revision   int64  `json:"revision"`
	Superseded bool   `json:"superseded"`
	Provider   string `json:"provider"`
	KeyID      string `json:"key_id,omitempty"`

	plain redact.Secret // of the newest only
}

// Find reads all values, and says which do not open and what can be done. Nothing is
// changed. Errors are Invalid (the configuration), and what sources and servers say.
func Find(ctx context.Context, cfg Config) (*Report, error) {
	for _, r := range cfg.Resources {
		if strings.Contains(r, "*") {
			return nil, errs.Newf(errs.Invalid, "resource %q: wildcards are not taken: name each resource", r)
		}
	}
	f := &finder{Config: cfg, ctx: ctx, found: map[stored.Object]*Finding{}, left: map[string]bool{}, opens: map[string]bool{}}
	for _, name := range cfg.Only {
		f.left[name] = true
	}
	f.keep = cfg.keeps()
	read, err := f.read(cfg.From, f.look)
	if err != nil {
		return nil, err
	}
	f.report.Origin, f.report.Servers = read.Origin, cfg.Servers.urls()
	f.count(read)
	if err := f.missed(); err != nil {
		return nil, err
	}
	if err := f.backups(); err != nil {
		return nil, err
	}
	for _, one := range f.found {
		if err := f.finish(one); err != nil {
			return nil, err
		}
	}
	f.report.sort()
	return &f.report, nil
}

// keeps reports whether what opens is wanted, too.
func (c *Config) keeps() bool {
	from, ok := c.From.(stored.Snapshot)
	return ok && c.Readable && (len(c.Only) > 0 || from.Has(copyMark))
}

// count takes what is known of all values when they were read.
func (f *finder) count(read *stored.Report) {
	for i := range f.report.Readable {
		f.report.Readable[i].Values[0].Source = read.Source
	}
	for i := range read.Resources {
		f.report.Read += read.Resources[i].Values
	}
}

// finder is one search.
type finder struct {
	Config
	ctx    context.Context // of the search, for what is called back
	report Report
	found  map[stored.Object]*Finding
	left   map[string]bool // names of Only that have not been seen
	opens  map[string]bool // key ids under which something opens
	keep   bool            // what opens, too
}

// read visits every value of a source that is meant.
func (f *finder) read(from stored.Source, visit func(stored.Object, stored.Under, stored.Entry)) (*stored.Report, error) {
	each := func(o stored.Object, u stored.Under, e stored.Entry) {
		if f.ctx.Err() == nil && (len(f.Only) == 0 || slices.Contains(f.Only, o.Name)) {
			visit(o, u, e)
		}
	}
	r, err := stored.Verify(f.ctx, from, stored.Config{Prefix: f.Prefix, Resources: f.Resources, Each: each})
	return r, cmp.Or(err, f.ctx.Err())
}

// look takes a value of what is to be rescued.
func (f *finder) look(o stored.Object, u stored.Under, e stored.Entry) {
	if e.Superseded {
		return
	}
	delete(f.left, o.Name)
	out := f.Keys.open(f.ctx, o.Resource, e.Key, e.Value)
	if out.state == Readable {
		f.opens[u.KeyID] = true
		if f.keep {
			f.report.Readable = append(f.report.Readable, Finding{
				Object: o, Provider: u.Provider(), KeyID: u.KeyID, State: Readable, Revision: e.Revision,
				Values: []Value{{Revision: e.Revision, Provider: u.Provider(), KeyID: u.KeyID, plain: out.plain}},
			})
		}
		return
	}
	asked := out.state
	if out.state != Damaged && f.saidGone(u.KeyID, u.Provider()) {
		out.state, out.why = KeyGone, "you say that it is gone; "+out.why
	}
	f.found[o] = &Finding{
		Object: o, Provider: u.Provider(), KeyID: u.KeyID, State: out.state, Why: out.why, Revision: e.Revision,
		key: bytes.Clone(e.Key), content: bytes.Clone(e.Value), asked: asked,
	}
}

// saidGone reports whether people said that a key or a provider is gone for ever.
func (c *Config) saidGone(keyID, provider string) bool {
	return keyID != "" && slices.Contains(c.Gone, keyID) || slices.Contains(c.Gone, provider)
}

// missed refuses names that nothing has.
func (f *finder) missed() error {
	for _, name := range f.Only {
		if f.left[name] {
			return errs.Newf(errs.NotExist, "there is no %s among %s in %s: name it as NAMESPACE/NAME", name, strings.Join(f.Resources, ", "), f.report.Source)
		}
	}
	return nil
}

// backups looks for values that open: in the source itself, which may have older ones or
// one that an old configuration opens, and in all snapshots.
func (f *finder) backups() error {
	if len(f.found) == 0 {
		return nil
	}
	for _, from := range append([]stored.Source{f.From}, f.Backups...) {
		r, err := f.read(from, func(o stored.Object, u stored.Under, e stored.Entry) {
			if lost := f.found[o]; lost != nil {
				f.value(lost, u, e)
			}
		})
		if err != nil {
			return err
		}
		for _, lost := range f.found {
			for i := range lost.Values {
				lost.Values[i].Source = cmp.Or(lost.Values[i].Source, r.Source)
			}
		}
	}
	return nil
}

// value adds one of a lost object, if it opens. Only the newest is kept in memory.
func (f *finder) value(lost *Finding, u stored.Under, e stored.Entry) {
	var opened outcome
	for _, keys := range append([]*Keys{f.Keys}, f.Old...) {
		if opened = keys.open(f.ctx, lost.Resource, e.Key, e.Value); opened.state == Readable {
			break
		}
	}
	if u.Kind == stored.Clear { // which needs no provider
		opened = judged(e.Value, nil)
	}
	if opened.state != Readable {
		return
	}
	v := Value{Revision: e.Revision, Superseded: e.Superseded, Provider: u.Provider(), KeyID: u.KeyID, plain: opened.plain}
	for i := range lost.Values {
		if other := &lost.Values[i]; other.Revision < v.Revision {
			other.plain.Wipe()
			other.plain = redact.Secret{}
		} else {
			v.plain = redact.Secret{}
		}
	}
	lost.Values = append(lost.Values, v)
}

// finish asks who reads it still, and says what can be done.
func (f *finder) finish(one *Finding) error {
	if one.State == KeyGone && one.KeyID != "" && f.opens[one.KeyID] {
		one.State, one.Why = Damaged, "others under this key id open: the value is damaged"
	}
	seen, err := f.Servers.see(f.ctx, one.Object)
	if err != nil {
		return err
	}
	one.Readers, one.Unclear = seen.readers, seen.unclear
	one.Deletable = len(one.Readers)+len(one.Unclear) == 0 && (one.State == Damaged || f.saidGone(one.KeyID, one.Provider))
	slices.SortStableFunc(one.Values, func(a, b Value) int { return cmp.Compare(b.Revision, a.Revision) })
	one.Do = one.advice()
	if one.State == NotKnown {
		f.report.Unknown = append(f.report.Unknown, *one)
	} else {
		f.report.Lost = append(f.report.Lost, *one)
	}
	return nil
}

func (f *Finding) advice() (do []string) {
	if len(f.Readers) > 0 {
		do = append(do, "the API server at "+f.Readers[0]+" reads it from memory still, until it is started anew: have that one rewrite it now (strongkeep encryption rewrite -by=ourselves, with a kubeconfig that has this address)")
	}
	switch {
	case f.State == NotKnown:
		return append(do, "find out first: is the plugin well (strongkeep kms doctor)? If the key is gone for ever, say so with -gone="+cmp.Or(f.KeyID, f.Provider))
	case f.State == NoProvider && f.Provider == string(stored.Clear):
		do = append(do, "put identity back into the EncryptionConfiguration, as its last provider, and rewrite")
	case f.State == NoProvider:
		do = append(do, "put "+f.Provider+" back into the EncryptionConfiguration (encryption.yaml.previous may have it), and rewrite")
	case f.State == KeyGone && f.KeyID != "":
		do = append(do, "bring the key with key id "+f.KeyID+" back to the key store, from its own backup")
	case f.State == KeyGone:
		do = append(do, "bring the key of "+f.Provider+" back")
	}
	if len(f.Values) > 0 {
		v := &f.Values[0]
		do = append(do, fmt.Sprintf("restore the value of revision %d from %s (-restore=FILE)", v.Revision, v.Source))
	}
	return append(do, f.deletion()...)
}

// deletion is what can be done about an object that nothing else helps.
func (f *Finding) deletion() []string {
	switch {
	case f.Deletable:
		return []string{"delete it (-delete)"}
	case len(f.Readers) > 0:
		return nil
	case len(f.Unclear) > 0:
		return []string{"look after the API server at " + f.Unclear[0] + ", which does not say whether it reads it"}
	}
	return []string{"if no node's plugin or file has its key any more, nor ever will: say so with -gone=" + cmp.Or(f.KeyID, f.Provider) + ", and delete it (-delete)"}
}

func (r *Report) sort() {
	for _, all := range [][]Finding{r.Lost, r.Unknown, r.Readable} {
		slices.SortFunc(all, func(a, b Finding) int {
			return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Name, b.Name))
		})
	}
}

// Confirmation is how many findings these are, and a digest of which and of which
// revisions: what is confirmed with it is what was looked at.
func Confirmation(all []Finding) string {
	sum := sha256.New()
	for i := range all {
		_, _ = fmt.Fprintf(sum, "%q %q %d\n", all[i].Resource, all[i].Name, all[i].Revision) // never fails
	}
	return fmt.Sprintf("%d-%x", len(all), sum.Sum(nil)[:4])
}

// Deletable are the objects that are lost and may be deleted.
func (r *Report) Deletable() []Finding {
	return slices.DeleteFunc(slices.Clone(r.Lost), func(f Finding) bool { return !f.Deletable })
}
