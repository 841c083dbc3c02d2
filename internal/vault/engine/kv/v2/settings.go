package v2

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/keypath"
)

// Limits of custom_metadata.
const (
	maxCustom      = 64  // members
	maxCustomName  = 128 // bytes
	maxCustomValue = 512 // bytes
)

func readMetadata(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	key, err := keyOf(req)
	if err != nil {
		return nil, err
	}
	m, err := load(ctx, tx, key)
	if err != nil || m == nil {
		return nil, err
	}
	o := engine.NewObjectSize(512+128*len(m.versions)+len(m.customJSON)).
		Bool("cas_required", m.casRequired).
		Time("created_time", m.created).
		Uint("current_metadata_version", m.metaVersion).
		Uint("current_version", m.current).
		Raw("custom_metadata", m.customJSON).
		Str("delete_version_after", m.deleteAfter.String()).
		Int("max_versions", int64(m.maxVersions)).
		Bool("metadata_cas_required", m.metaCASRequired).
		Uint("oldest_version", m.oldest).
		Time("updated_time", m.updated).
		Open("versions")
	for i := range m.versions {
		v := &m.versions[i]
		o = o.Open(strconv.FormatUint(v.n, 10)).
			Time("created_time", v.created).
			Time("deletion_time", v.deleted).
			Bool("destroyed", v.destroyed).
			Close()
	}
	return &engine.Response{Data: o.Close().Value()}, nil
}

// writeMetadata changes the settings that the request has, of a secret that
// need not exist yet.
func writeMetadata(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return changeMetadata(ctx, tx, req, false)
}

// patchMetadata is writeMetadata as a merge patch: null puts a setting back,
// custom metadata is merged name by name, and the secret must exist.
func patchMetadata(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return changeMetadata(ctx, tx, req, true)
}

func changeMetadata(ctx context.Context, tx engine.Tx, req *engine.Request, patch bool) (*engine.Response, error) {
	key, err := keyOf(req)
	if err != nil {
		return nil, err
	}
	m, err := load(ctx, tx, key)
	switch {
	case err != nil:
		return nil, err
	case m == nil && patch:
		return engine.NotFound(), nil
	}
	if err := checkMetadataCAS(m, req); err != nil {
		return nil, err
	}
	m = m.clone(clock(req))
	if patch {
		m.reset(req.Body)
	}
	if err := m.set(req); err != nil {
		return nil, err
	}
	if err := m.setCustom(req.Body.Field("custom_metadata"), patch); err != nil {
		return nil, err
	}
	m.metaVersion++
	tx.Put(metaKey(key), m.encode())
	operation := "metadata-write"
	if patch {
		operation = "metadata-patch"
	}
	emit(tx, operation, "metadata/"+key, key, m)
	return nil, nil
}

// checkMetadataCAS is check-and-set for the settings, an addition of OpenBao's.
func checkMetadataCAS(m *metadata, req *engine.Request) error {
	d := req.Decode()
	given, want := d.Has("metadata_cas"), d.Int("metadata_cas", 0)
	if err := d.Err(); err != nil {
		return err
	}
	current, required := uint64(0), false
	if m != nil {
		current, required = m.metaVersion, m.metaCASRequired
	}
	switch {
	case !given && required:
		return errs.New(errs.Invalid, "metadata check-and-set parameter required for this call")
	case given && (want < 0 || uint64(want) != current):
		return errs.New(errs.Invalid, "metadata check-and-set parameter did not match the current version")
	}
	return nil
}

// reset puts back the settings that are null in a merge patch.
func (m *metadata) reset(b engine.Body) {
	if b.IsNull("max_versions") {
		m.maxVersions = 0
	}
	if b.IsNull("cas_required") {
		m.casRequired = false
	}
	if b.IsNull("metadata_cas_required") {
		m.metaCASRequired = false
	}
	if b.IsNull("delete_version_after") {
		m.deleteAfter = 0
	}
	if b.IsNull("custom_metadata") {
		m.custom = nil
	}
}

// set takes the settings that the request has.
func (m *metadata) set(req *engine.Request) error {
	d := req.Decode()
	limit := d.Int("max_versions", int64(m.maxVersions))
	m.casRequired = d.Bool("cas_required", m.casRequired)
	m.metaCASRequired = d.Bool("metadata_cas_required", m.metaCASRequired)
	m.deleteAfter = max(0, d.Duration("delete_version_after", m.deleteAfter))
	if err := d.Err(); err != nil {
		return err
	}
	if err := checkMaxVersions(limit); err != nil {
		return err
	}
	m.maxVersions = int(limit)
	return nil
}

// setCustom takes custom_metadata, as a whole or merged into what is there.
func (m *metadata) setCustom(raw jsontext.Value, merge bool) error {
	if raw == nil {
		return nil
	}
	if raw.Kind() != '{' {
		return errs.New(errs.Invalid, `field "custom_metadata" must be an object of strings`)
	}
	all := map[string]string{}
	if merge {
		for _, p := range m.custom {
			all[p.name] = p.value
		}
	}
	given, err := engine.ParseBody(raw)
	if err != nil {
		return err
	}
	for _, name := range given.Names() {
		if given.IsNull(name) && merge {
			delete(all, name)
			continue
		}
		value := given.Field(name)
		if value.Kind() != '"' {
			return errs.New(errs.Invalid, `field "custom_metadata" must be an object whose values are strings`)
		}
		text, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return errs.New(errs.Invalid, `field "custom_metadata" holds a malformed string`)
		}
		all[name] = string(text)
	}
	return m.replaceCustom(all)
}

// replaceCustom checks the limits and makes all the custom metadata. Errors
// count and measure; they quote neither names nor values.
func (m *metadata) replaceCustom(all map[string]string) error {
	if len(all) > maxCustom {
		return errs.Newf(errs.Invalid, "custom_metadata validation failed: payload must contain at most %d keys, provided %d", maxCustom, len(all))
	}
	m.custom = make([]pair, 0, len(all))
	for name, value := range all {
		switch {
		case name == "":
			return errs.New(errs.Invalid, "custom_metadata validation failed: a key is empty")
		case len(name) > maxCustomName:
			return errs.Newf(errs.Invalid, "custom_metadata validation failed: a key has %d bytes, over the limit of %d", len(name), maxCustomName)
		case len(value) > maxCustomValue:
			return errs.Newf(errs.Invalid, "custom_metadata validation failed: a value has %d bytes, over the limit of %d", len(value), maxCustomValue)
		case !allPrint(name) || !allPrint(value):
			return errs.New(errs.Invalid, "custom_metadata validation failed: a key or value contains unprintable characters")
		}
		m.custom = append(m.custom, pair{name, value})
	}
	slices.SortFunc(m.custom, func(a, b pair) int { return cmp.Compare(a.name, b.name) })
	return nil
}

func allPrint(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// deleteMetadata removes a secret with all its versions. MaxVersions keeps
// that within one transaction.
func deleteMetadata(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	key, err := keyOf(req)
	if err != nil {
		return nil, err
	}
	m, err := load(ctx, tx, key)
	if err != nil || m == nil {
		return nil, err
	}
	for i := range m.versions {
		if !m.versions[i].destroyed {
			tx.Delete(versionKey(key, m.versions[i].n))
		}
	}
	tx.Delete(metaKey(key))
	emit(tx, "metadata-delete", "metadata/"+key, key, m)
	return nil, nil
}

func listMetadata(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	folder, err := keypath.Folder(req.Params["path"])
	if err != nil {
		return nil, err
	}
	return keypath.List(ctx, tx, metaKey(folder), req)
}
