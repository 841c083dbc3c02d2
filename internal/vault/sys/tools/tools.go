package tools

import (
	"context"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"strconv"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// MaxRandom is the most bytes of one answer, as in Vault.
const MaxRandom = 128 << 10

// Routes are those below sys/. random is where bytes come from.
func Routes(random io.Reader) []engine.Route {
	t := tools{random}
	size := engine.Field{Name: "bytes", Type: engine.Int, Default: "32", Help: "how many, at most 131072"}
	format := engine.Field{Name: "format", Type: engine.String, Help: "base64 or hex"}
	source := engine.Field{Name: "source", Type: engine.String, Help: "platform, the operating system's generator, which is the only one; or how many bytes"}
	digest := []engine.Field{
		{Name: "input", Type: engine.String, Secret: true, Help: "what to hash, in base64"},
		{Name: "algorithm", Type: engine.String, Default: "sha2-256", Help: "sha2-224, -256, -384, -512 or sha3-224, -256, -384, -512"},
		{Name: "format", Type: engine.String, Default: "hex", Help: "hex or base64"},
	}
	write := func(h engine.Handler) map[engine.Operation]engine.Handler {
		return map[engine.Operation]engine.Handler{engine.Update: h}
	}
	return []engine.Route{
		{Pattern: "tools/random", Summary: "Random bytes.", Fields: []engine.Field{size, format}, Handlers: write(t.bytes)},
		{Pattern: "tools/random/{source}", Summary: "So many random bytes.", Fields: []engine.Field{source, size, format}, Handlers: write(t.bytes)},
		{
			Pattern: "tools/random/{source}/{urlbytes}", Summary: "So many random bytes from one source.", Handlers: write(t.bytes),
			Fields: []engine.Field{source, {Name: "urlbytes", Type: engine.Int, Help: "how many, at most 131072"}, size, format},
		},
		{Pattern: "tools/hash", Summary: "The hash of a value.", Fields: digest, Handlers: write(sum)},
		{
			Pattern: "tools/hash/{urlalgorithm}", Summary: "The hash of a value by one algorithm.", Handlers: write(sum),
			Fields: append([]engine.Field{{Name: "urlalgorithm", Type: engine.String, Help: "takes precedence over algorithm"}}, digest...),
		},
	}
}

type tools struct{ random io.Reader }

func (t tools) bytes(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	count, format := d.Int("bytes", 32), d.String("format", "base64")
	if err := d.Err(); err != nil {
		return nil, err
	}
	source, inPath := req.Params["source"], req.Params["urlbytes"]
	if n, err := strconv.ParseInt(source, 10, 64); err == nil && inPath == "" {
		source, count = "", n
	}
	if inPath != "" {
		n, err := strconv.ParseInt(inPath, 10, 64)
		if err != nil {
			return nil, errs.New(errs.Invalid, "error parsing url-set byte count: it must be a number")
		}
		count = n
	}
	switch {
	case source != "" && source != "platform" && source != "all":
		return nil, errs.Newf(errs.Invalid, "unsupported entropy source %.40q; supported sources are platform and all, which are the same", source)
	case count < 1:
		return nil, errs.New(errs.Invalid, `"bytes" cannot be less than 1`)
	case count > MaxRandom:
		return nil, errs.Newf(errs.Invalid, `"bytes" should be less than %d`, MaxRandom+1)
	}
	raw := make([]byte, count)
	if _, err := io.ReadFull(t.random, raw); err != nil {
		return nil, errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	return encoded("random_bytes", raw, format)
}

var hashes = map[string]func() hash.Hash{
	"sha2-224": sha256.New224, "sha2-256": sha256.New, "sha2-384": sha512.New384, "sha2-512": sha512.New,
	"sha3-224": func() hash.Hash { return sha3.New224() }, "sha3-256": func() hash.Hash { return sha3.New256() },
	"sha3-384": func() hash.Hash { return sha3.New384() }, "sha3-512": func() hash.Hash { return sha3.New512() },
}

func sum(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	input, algorithm, format := d.String("input", ""), d.String("algorithm", "sha2-256"), d.String("format", "hex")
	if err := d.Err(); err != nil {
		return nil, err
	}
	if inPath := req.Params["urlalgorithm"]; inPath != "" {
		algorithm = inPath
	}
	made := hashes[algorithm]
	if made == nil {
		return nil, errs.Newf(errs.Invalid, "unsupported algorithm %.40q", algorithm)
	}
	raw, err := base64.StdEncoding.DecodeString(input)
	if err != nil {
		return nil, errs.New(errs.Invalid, "unable to decode input as base64")
	}
	h := made()
	h.Write(raw)
	return encoded("sum", h.Sum(nil), format)
}

func encoded(name string, raw []byte, format string) (*engine.Response, error) {
	var text string
	switch format {
	case "hex":
		text = hex.EncodeToString(raw)
	case "base64":
		text = base64.StdEncoding.EncodeToString(raw)
	default:
		return nil, errs.Newf(errs.Invalid, `unsupported encoding format %.40q; must be "hex" or "base64"`, format)
	}
	return &engine.Response{Data: engine.NewObjectSize(len(text)+20).Str(name, text).Value()}, nil
}
