package token

import (
	"io"
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
)

const (
	servicePrefix = "hvs."
	batchPrefix   = "hvb."
	// serviceRandom is far beyond the 128 bits a token needs: the total length is
	// the one that secret scanners look for behind "hvs.".
	serviceRandom = 91
	// ServiceLen is the length of a random service token of the root namespace.
	ServiceLen  = len(servicePrefix) + serviceRandom
	accessorLen = 24

	// MaxLen bounds a token as clients present it, so that it fits an HTTP header.
	MaxLen = 8 << 10
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// appendBase62 appends n characters, each of log2(62) bits of r.
func appendBase62(b []byte, r io.Reader, n int) ([]byte, error) {
	buf := make([]byte, n)
	b = slices.Grow(b, n+maxNamespace+1) // and what may be suffixed
	for end := len(b) + n; len(b) < end; {
		if _, err := io.ReadFull(r, buf); err != nil {
			return nil, errs.Newf(errs.Internal, "reading randomness: %w", err)
		}
		for _, c := range buf {
			// 248 is the largest multiple of 62 in a byte: more would favour some characters.
			if c < 248 && len(b) < end {
				b = append(b, base62[c%62])
			}
		}
	}
	clear(buf)
	return b, nil
}
