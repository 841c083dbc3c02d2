package config

import (
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Together refuses two files that must not be in force at once, one on this API server
// and one on that: with one, something is written that the other cannot read. The kind
// is Conflict.
func Together(a, b *File) error {
	for _, resource := range resources(a, b) {
		for _, pair := range [][2]*File{{a, b}, {b, a}} {
			writer, reader := pair[0], pair[1]
			first := writer.Providers(resource)[0]
			if !reads(reader.Providers(resource), first.marks[0]) {
				return errs.Newf(errs.Conflict, "%s: an API server with %s writes with %s, and one with %s could not read it", resource, writer.at(first), first, reader.at(Provider{}))
			}
		}
	}
	return nil
}

// at names a file and the line of a provider in it.
func (f *File) at(p Provider) string {
	switch {
	case f.Hash == "":
		return "no EncryptionConfiguration"
	case p.Line == 0:
		return f.Place
	}
	return f.Place + ":" + itoa(p.Line)
}

func resources(a, b *File) []string {
	all := append(a.Resources(), b.Resources()...)
	slices.Sort(all)
	return slices.Compact(all)
}

func reads(providers []Provider, mark string) bool {
	return slices.ContainsFunc(providers, func(p Provider) bool { return slices.Contains(p.marks, mark) })
}

// Loss is a provider, or some of its keys, that a file no longer has: what lies in
// etcd under it could not be read any more.
type Loss struct {
	Resource string
	Provider Provider // with its line in the file before
	Renamed  string   // name that a provider at the same socket has instead
	Under    string   // what cannot be read any more, as Provider.Unders names it
	Namesake bool     // next has another key of this name: nobody can tell their values apart
}

// Losses are what next can no longer read of what before could. It is safe to lose
// only what is proven to be in nothing that lies in etcd, nor in a backup of it.
func Losses(before, next *File) []Loss {
	var out []Loss
	for _, resource := range resources(before, next) {
		has := next.Providers(resource)
		for _, p := range before.Providers(resource) {
			for i, mark := range p.marks {
				if under := p.Unders()[i]; !reads(has, mark) {
					out = append(out, Loss{resource, p, renamed(p, before, next, has), under, named(has, under)})
				}
			}
		}
	}
	return out
}

// named reports whether a provider has something of this name.
func named(providers []Provider, under string) bool {
	return slices.ContainsFunc(providers, func(p Provider) bool { return slices.Contains(p.Unders(), under) })
}

// renamed is the new name of a kms provider whose socket another one has that was not
// there before.
func renamed(p Provider, before, next *File, has []Provider) string {
	for _, other := range has {
		if p.Kind == "kms" && other.Kind == "kms" && p.Endpoint == other.Endpoint && !before.names(other.Name) && !next.names(p.Name) {
			return other.Name
		}
	}
	return ""
}

// names reports whether a kms provider has this name.
func (f *File) names(name string) bool {
	for i := range f.Entries {
		for _, p := range f.Entries[i].Providers {
			if p.Kind == "kms" && p.Name == name {
				return true
			}
		}
	}
	return false
}

// InClear are the providers that write in the clear although others stand below them,
// by resource: meant on the way, and a mistake if it stays.
func (f *File) InClear() map[string]Provider {
	out := map[string]Provider{}
	for _, resource := range f.Resources() {
		if all := f.Providers(resource); all[0].Clear() && len(all) > 1 {
			out[resource] = all[0]
		}
	}
	return out
}

// Allow is what a file may do that follows another one.
type Allow struct {
	Clear bool // write in the clear what was written encrypted
	Loss  bool // lose what can be read, which somebody else has to judge
}

// Follows refuses a file that must not come after another one: it loses what may still
// be in use, or begins to write in the clear what is written encrypted, unless that is
// allowed. The kind is Invalid, with the line at fault.
func Follows(before, next *File, allow Allow) error {
	for _, l := range Losses(before, next) {
		where := before.at(l.Provider)
		switch {
		case l.Namesake:
			return errs.Newf(errs.Invalid, "%s: %s of %s gets another key under the same name, and nobody could tell which values need the old one: give the new key a name of its own", where, l.Under, l.Resource)
		case allow.Loss:
		case l.Renamed != "":
			return errs.Newf(errs.Invalid, "%s: %s is renamed to %s: the name stands in etcd before every value, and what is under the old one could not be read: keep the name, or add the new one as another provider", where, l.Provider, l.Renamed)
		case l.Provider.Clear():
			return errs.Newf(errs.Invalid, "%s: identity is taken from %s: what lies in etcd in the clear could not be read any more: rewrite all, and prove it, first", where, l.Resource)
		default:
			return errs.Newf(errs.Invalid, "%s: %s is taken from %s, or one of its keys: what lies in etcd under it could not be read any more: rewrite all, and prove it, first", where, l.Provider, l.Resource)
		}
	}
	for _, resource := range next.Resources() {
		first := next.Providers(resource)[0]
		was := before.Providers(resource)[0]
		if first.Clear() && !was.Clear() && !allow.Clear {
			return errs.Newf(errs.Invalid, "%s: identity is the first provider of %s, and would write in the clear: put it last, or say -back if that is meant", next.at(first), resource)
		}
	}
	return nil
}
