package v2

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// metadata is what is kept about a secret besides its versions' data.
//
//	byte     format, 1
//	byte     flags: 1 = cas_required, 2 = metadata_cas_required; others 0
//	uvarint  current_version
//	uvarint  oldest_version
//	uvarint  max_versions
//	uvarint  current_metadata_version
//	varint   delete_version_after, ns
//	instant  created_time
//	instant  updated_time
//	uvarint  number of versions, then for each, ascending:
//	  uvarint  number, as the distance from the one before it (from 0)
//	  byte     flags: 1 = destroyed; others 0
//	  instant  created_time
//	  instant  deletion_time, or none
//	uvarint  number of custom metadata, then for each, sorted by name:
//	  string   name
//	  string   value
type metadata struct {
	current         uint64 // number of the latest version; 0 = none was ever written
	oldest          uint64 // every version before this is gone; 0 until the first was dropped
	maxVersions     int    // 0 = as the mount says
	casRequired     bool
	metaVersion     uint64 // counts changes of the settings
	metaCASRequired bool
	deleteAfter     time.Duration // 0 = as the mount says
	created         time.Time
	updated         time.Time // of the latest version
	versions        []version // ascending
	custom          []pair    // sorted by name
	customJSON      jsontext.Value
}

// version is one version of a secret.
type version struct {
	n         uint64
	created   time.Time
	deleted   time.Time // when it is, was or will be soft-deleted; zero = never
	destroyed bool      // its data is gone for good
}

type pair struct{ name, value string }

const (
	metadataFormat = 1

	flagCAS     = 1
	flagMetaCAS = 2

	flagDestroyed = 1
)

func (m *metadata) encode() []byte {
	b := make([]byte, 0, 64+24*len(m.versions)+32*len(m.custom))
	var flags byte
	if m.casRequired {
		flags |= flagCAS
	}
	if m.metaCASRequired {
		flags |= flagMetaCAS
	}
	b = append(b, metadataFormat, flags)
	b = binary.AppendUvarint(b, m.current)
	b = binary.AppendUvarint(b, m.oldest)
	b = binary.AppendUvarint(b, uint64(m.maxVersions))
	b = binary.AppendUvarint(b, m.metaVersion)
	b = binary.AppendVarint(b, int64(m.deleteAfter))
	b = appendInstant(b, m.created)
	b = appendInstant(b, m.updated)
	b = binary.AppendUvarint(b, uint64(len(m.versions)))
	before := uint64(0)
	for i := range m.versions {
		v := &m.versions[i]
		b = binary.AppendUvarint(b, v.n-before)
		before = v.n
		flags = 0
		if v.destroyed {
			flags = flagDestroyed
		}
		b = append(b, flags)
		b = appendInstant(b, v.created)
		b = appendInstant(b, v.deleted)
	}
	b = binary.AppendUvarint(b, uint64(len(m.custom)))
	for _, p := range m.custom {
		b = appendString(appendString(b, p.name), p.value)
	}
	return b
}

func decodeMetadata(entry []byte) (*metadata, error) {
	r, m := newReader(entry), &metadata{}
	format, flags := r.byte(), r.byte()
	if format != metadataFormat || flags&^(flagCAS|flagMetaCAS) != 0 {
		r.spoil()
	}
	m.casRequired, m.metaCASRequired = flags&flagCAS != 0, flags&flagMetaCAS != 0
	m.current, m.oldest = r.uvarint(), r.uvarint()
	limit := r.uvarint()
	m.maxVersions = int(min(limit, MaxVersions))
	m.metaVersion, m.deleteAfter = r.uvarint(), time.Duration(r.varint())
	m.created, m.updated = r.instant(), r.instant()
	m.versions = make([]version, r.count(6))
	before := uint64(0)
	for i := range m.versions {
		v := &m.versions[i]
		step, flags := r.uvarint(), r.byte()
		v.n = before + step
		if step == 0 || v.n < before || v.n > m.current || flags&^flagDestroyed != 0 {
			r.spoil()
		}
		before, v.destroyed = v.n, flags&flagDestroyed != 0
		v.created, v.deleted = r.instant(), r.instant()
	}
	m.custom = make([]pair, r.count(2))
	for i := range m.custom {
		m.custom[i] = pair{r.string(), r.string()}
		if i > 0 && m.custom[i-1].name >= m.custom[i].name {
			r.spoil()
		}
	}
	m.customJSON = m.renderCustom()
	return m, r.done("the metadata of a secret")
}

// renderCustom returns custom_metadata as it is answered; nil, which is null,
// where there is none.
func (m *metadata) renderCustom() jsontext.Value {
	if len(m.custom) == 0 {
		return nil
	}
	o := engine.NewObject()
	for _, p := range m.custom {
		o = o.Str(p.name, p.value)
	}
	return o.Value()
}

// clone returns a copy to change; of nil, the metadata of a new secret.
func (m *metadata) clone(now time.Time) *metadata {
	if m == nil {
		return &metadata{created: now, updated: now}
	}
	c := *m
	c.versions = slices.Clone(m.versions)
	return &c
}

// find returns version n, the latest for 0; nil if it is not there.
func (m *metadata) find(n uint64) *version {
	if n == 0 {
		n = m.current
	}
	i, found := slices.BinarySearchFunc(m.versions, n, func(v version, n uint64) int {
		switch {
		case v.n < n:
			return -1
		case v.n > n:
			return 1
		}
		return 0
	})
	if !found {
		return nil
	}
	return &m.versions[i]
}

// gone reports whether the version cannot be read at now.
func (v *version) gone(now time.Time) bool {
	return v.destroyed || !v.deleted.IsZero() && !v.deleted.After(now)
}

// add appends a version and returns it, with the numbers of those whose data
// must be deleted because they are over the limit.
func (m *metadata) add(now time.Time, c *config) (added *version, dropped []uint64) {
	m.current++
	m.updated = now
	m.versions = append(m.versions, version{n: m.current, created: now, deleted: m.expiry(now, c)})
	keep := uint64(m.limit(c))
	if m.current-m.oldest >= keep {
		m.oldest = m.current - keep + 1
		for len(m.versions) > 0 && m.versions[0].n < m.oldest {
			if !m.versions[0].destroyed {
				dropped = append(dropped, m.versions[0].n)
			}
			m.versions = m.versions[1:]
		}
	}
	return &m.versions[len(m.versions)-1], dropped
}

// limit returns how many versions are kept: the larger of the secret's and the
// mount's setting.
func (m *metadata) limit(c *config) int {
	if n := max(m.maxVersions, c.maxVersions); n > 0 {
		return n
	}
	return DefaultVersions
}

// expiry returns when a version written or undeleted now will be soft-deleted,
// zero for never: the shorter of the mount's and the secret's setting, so that a
// secret cannot outlive what the mount allows. A negative setting of the mount
// turns expiry off altogether.
func (m *metadata) expiry(now time.Time, c *config) time.Time {
	after := c.deleteAfter
	if after == 0 || after > 0 && m.deleteAfter > 0 && m.deleteAfter < after {
		after = m.deleteAfter
	}
	if after <= 0 {
		return time.Time{}
	}
	return now.Add(after)
}
