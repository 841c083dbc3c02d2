package gather

import (
	"encoding/base64"
	"fmt"
	"strings"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// ConvertKey makes key one that a Secret can have.
func ConvertKey(key string, strategy v1.ConversionStrategy) string {
	var out strings.Builder
	for _, c := range key {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
			out.WriteRune(c)
		case strategy == v1.ConversionUnicode:
			fmt.Fprintf(&out, "_U%04x_", c)
		default:
			out.WriteByte('_')
		}
	}
	return out.String()
}

// validKeys says what ValidKey asks for.
const validKeys = "letters, digits, '-', '_' and '.', at most 253"

// ValidKey reports whether a Secret can have key.
func ValidKey(key string) bool {
	return key != "" && len(key) <= 253 && ConvertKey(key, v1.ConversionDefault) == key && key != "." && !strings.HasPrefix(key, "..")
}

// Decode applies a decoding strategy.
func Decode(v []byte, strategy v1.DecodingStrategy) ([]byte, error) {
	s, err := decode(redact.New(v), strategy)
	return s.Reveal(), err
}

func decode(v redact.Secret, strategy v1.DecodingStrategy) (redact.Secret, error) {
	standard := func() ([]byte, error) { return base64.StdEncoding.DecodeString(v.RevealString()) }
	url := func() ([]byte, error) { return base64.URLEncoding.DecodeString(v.RevealString()) }
	var out []byte
	var err error
	switch strategy {
	case "", v1.DecodingNone:
		return v, nil
	case v1.DecodingBase64:
		out, err = standard()
	case v1.DecodingBase64URL:
		out, err = url()
	case v1.DecodingAuto:
		if out, err = standard(); err != nil {
			if out, err = url(); err != nil {
				return v, nil
			}
		}
	default:
		return v, errs.Newf(errs.Invalid, "decodingStrategy %q is not one of None, Base64, Base64URL and Auto", strategy)
	}
	if err != nil {
		return v, errs.Newf(errs.Invalid, "the value is not %s, which decodingStrategy says it is", strategy)
	}
	return redact.New(out), nil
}
