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

// common is what the options that every type of device has say.
type common struct {
	format   Format
	required bool // requests wait for this device; default true
	bytes    int  // that may wait in its queue
	lines    int  // likewise, of a best-effort device
}

// Bounds of a best-effort device's buffer, and its default in lines. The
// default in bytes is Config.QueueBytes.
const (
	defaultBufferLines = 1 << 16
	maxBufferLines     = 1 << 24
	maxBufferBytes     = 1 << 30
)

// parseCommon takes the common options out of a copy of options and returns
// what is left for the type of device.
func parseCommon(options map[string]string, limit int) (c common, rest map[string]string, err error) {
	c = common{format: Format{HMACAccessor: true}, required: true, bytes: limit, lines: defaultBufferLines}
	rest = maps.Clone(options)
	for _, o := range []struct {
		name string
		to   *bool
	}{
		{"hmac_accessor", &c.format.HMACAccessor},
		{"log_raw", &c.format.LogRaw},
		{"elide_list_responses", &c.format.ElideListResponses},
		{"required", &c.required},
	} {
		text, given := rest[o.name]
		if !given {
			continue
		}
		delete(rest, o.name)
		if *o.to, err = strconv.ParseBool(text); err != nil {
			return c, nil, errs.Newf(errs.Invalid, "the audit option %s must be true or false, not %q", o.name, text)
		}
	}
	if form, given := rest["format"]; given && form != "json" {
		return c, nil, errs.Newf(errs.Invalid, "the audit option format must be json, not %q", form)
	}
	c.format.Prefix = rest["prefix"]
	delete(rest, "format")
	delete(rest, "prefix")
	if err := c.parseBuffer(rest); err != nil {
		return c, nil, err
	}
	return c, rest, checkPrefix(c.format.Prefix)
}

// parseBuffer takes the bounds of a best-effort device's buffer out of options.
func (c *common) parseBuffer(options map[string]string) error {
	for _, o := range []struct {
		name string
		to   *int
		most int
	}{{"buffer_bytes", &c.bytes, maxBufferBytes}, {"buffer_lines", &c.lines, maxBufferLines}} {
		text, given := options[o.name]
		if !given {
			continue
		}
		delete(options, o.name)
		if c.required {
			return errs.Newf(errs.Invalid, "the audit option %s is for a device with required=false; requests wait for this one", o.name)
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > o.most {
			return errs.Newf(errs.Invalid, "the audit option %s must be a number from 1 to %d, not %q", o.name, o.most, text)
		}
		*o.to = n
	}
	return nil
}

// checkPrefix refuses what could end or forge a line. (In Vault's
// CVE-2025-6000 a prefix with line ends made the log an executable script.)
func checkPrefix(prefix string) error {
	if len(prefix) > maxPrefix || !utf8.ValidString(prefix) {
		return errs.Newf(errs.Invalid, "the audit option prefix must be UTF-8 of at most %d bytes", maxPrefix)
	}
	for _, r := range prefix {
		if !unicode.IsPrint(r) || r == '{' {
			return errs.New(errs.Invalid, "the audit option prefix must have printable characters only, no line end, and no brace that a reader could take for the line's own")
		}
	}
	return nil
}
