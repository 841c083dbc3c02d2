package audit

import (
	"maps"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Format is how a device's lines look: the options every type of device has.
type Format struct {
	HMACAccessor       bool   // hash accessors of tokens; default true
	LogRaw             bool   // write secrets in the clear; default false
	ElideListResponses bool   // of the answer to LIST write only how many keys there were; default false
	Prefix             string // precedes every line; default none
}

// maxPrefix bounds Format.Prefix, in bytes.
const maxPrefix = 128

// parseFormat takes the common options out of a copy of options and returns
// what is left for the type of device. Required says whether requests wait for
// this device; default true.
func parseFormat(options map[string]string) (f Format, required bool, rest map[string]string, err error) {
	f.HMACAccessor, required = true, true
	rest = maps.Clone(options)
	for _, o := range []struct {
		name string
		to   *bool
	}{
		{"hmac_accessor", &f.HMACAccessor},
		{"log_raw", &f.LogRaw},
		{"elide_list_responses", &f.ElideListResponses},
		{"required", &required},
	} {
		text, given := rest[o.name]
		if !given {
			continue
		}
		delete(rest, o.name)
		if *o.to, err = strconv.ParseBool(text); err != nil {
			return f, false, nil, errs.Newf(errs.Invalid, "the audit option %s must be true or false, not %q", o.name, text)
		}
	}
	if form, given := rest["format"]; given && form != "json" {
		return f, false, nil, errs.Newf(errs.Invalid, "the audit option format must be json, not %q", form)
	}
	f.Prefix = rest["prefix"]
	delete(rest, "format")
	delete(rest, "prefix")
	return f, required, rest, checkPrefix(f.Prefix)
}

// checkPrefix refuses what could end or forge a line. (In Vault's
// CVE-2025-6000 a prefix with line ends made the log an executable script.)
func checkPrefix(prefix string) error {
	if len(prefix) > maxPrefix || !utf8.ValidString(prefix) {
		return errs.Newf(errs.Invalid, "the audit option prefix must be UTF-8 of at most %d bytes", maxPrefix)
	}
	for _, r := range prefix {
		if !unicode.IsPrint(r) {
			return errs.New(errs.Invalid, "the audit option prefix must have printable characters only, and no line end")
		}
	}
	return nil
}
