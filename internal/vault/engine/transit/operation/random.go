package operation

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"io"
	"strconv"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/signature"
)

const maxRandom = 128 << 10 // bytes

// random gives random bytes: random, random/BYTES, random/SOURCE, random/SOURCE/BYTES.
func (e *uses) random(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	n, format := d.Int("bytes", 32), d.String("format", "base64")
	source := d.String("source", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	for _, name := range []string{"source", "bytes"} {
		given := req.Params[name]
		if number, err := strconv.ParseInt(given, 10, 64); err == nil {
			n = number
		} else if given != "" {
			source = given
		}
	}
	switch {
	case source != "" && source != "platform" && source != "seal" && source != "all":
		return nil, errs.New(errs.Invalid, "unsupported entropy source: it must be platform, which is also what seal and all mean here")
	case n < 1:
		return nil, errs.New(errs.Invalid, `"bytes" cannot be less than 1`)
	case n > maxRandom:
		return nil, errs.Newf(errs.Invalid, `"bytes" should be at most %d`, maxRandom)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(e.cfg.Random, b); err != nil {
		return nil, errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	return encoded("random_bytes", b, format)
}

func encoded(name string, b []byte, format string) (*engine.Response, error) {
	o := engine.NewObjectSize(2*len(b) + 64)
	switch format {
	case "hex":
		return &engine.Response{Data: o.Str(name, hex.EncodeToString(b)).Value()}, nil
	case "base64":
		return &engine.Response{Data: o.Str(name, base64.StdEncoding.EncodeToString(b)).Value()}, nil
	}
	return nil, errs.New(errs.Invalid, `unsupported encoding format: it must be "hex" or "base64"`)
}

func hashInput(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	name, format := hashName(req, &d), d.String("format", "hex")
	if err := d.Err(); err != nil {
		return nil, err
	}
	hash, err := signature.ParseHash(name)
	if err != nil {
		return nil, err
	}
	input, err := inputOf(req.Body)
	if err != nil {
		return nil, err
	}
	return encoded("sum", signature.Sum(hash, input), format)
}
