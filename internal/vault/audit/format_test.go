package audit

import (
	"maps"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestParseFormat(t *testing.T) {
	for name, c := range map[string]struct {
		in       map[string]string
		want     Format
		required bool
		rest     map[string]string
		bad      bool
	}{
		"none":                        {in: nil, want: Format{HMACAccessor: true}, required: true},
		"all":                         {in: map[string]string{"hmac_accessor": "false", "log_raw": "true", "elide_list_responses": "1", "prefix": "@cee: ", "required": "false", "format": "json", "file_path": "a"}, want: Format{LogRaw: true, ElideListResponses: true, Prefix: "@cee: "}, rest: map[string]string{"file_path": "a"}},
		"not bool":                    {in: map[string]string{"log_raw": "maybe"}, bad: true},
		"empty":                       {in: map[string]string{"hmac_accessor": ""}, bad: true},
		"jsonx":                       {in: map[string]string{"format": "jsonx"}, bad: true},
		"script":                      {in: map[string]string{"prefix": "#!/bin/sh\nid #"}, bad: true}, // CVE-2025-6000
		"separator":                   {in: map[string]string{"prefix": "a\u2028b"}, bad: true},
		"brace":                       {in: map[string]string{"prefix": "x{"}, bad: true},
		"buffer of a required device": {in: map[string]string{"buffer_lines": "5"}, bad: true},
		"buffer":                      {in: map[string]string{"required": "false", "buffer_lines": "5", "buffer_bytes": "6"}, want: Format{HMACAccessor: true}},
		"no buffer":                   {in: map[string]string{"required": "false", "buffer_bytes": "0"}, bad: true},
		"long":                        {in: map[string]string{"prefix": strings.Repeat("x", maxPrefix+1)}, bad: true},
		"not UTF-8":                   {in: map[string]string{"prefix": "\xff"}, bad: true},
	} {
		got, rest, err := parseCommon(c.in, 1<<20)
		if c.bad {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%s: error %v, want one of kind Invalid", name, err)
			}
			continue
		}
		if err != nil || got.format != c.want || got.required != c.required || !maps.Equal(rest, c.rest) {
			t.Errorf("%s: %+v %v %v %v", name, got, got.required, rest, err)
		}
	}
}
