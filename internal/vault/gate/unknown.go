package gate

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Bounds of a warning of unknown fields, so that it is no echo of the body.
const (
	maxUnknown     = 16 // names
	maxUnknownName = 64 // bytes of each
)

// warnOfUnknown adds to the answer of a write which fields of its body the
// route does not know: a mistyped name would otherwise do nothing, silently.
// A write without an answer gets one then.
func (c *call) warnOfUnknown(res *engine.Response) *engine.Response {
	switch c.op {
	case engine.Create, engine.Update, engine.Patch:
	default:
		return res
	}
	if c.route == nil || len(c.route.Fields) == 0 || res != nil && res.Raw != nil {
		return res
	}
	var unknown []string
	for _, name := range c.route.UnknownFields(c.req.Body) {
		if _, inPath := c.request.Params[name]; !inPath {
			unknown = append(unknown, shorten(name))
		}
	}
	if len(unknown) == 0 {
		return res
	}
	if len(unknown) > maxUnknown {
		unknown = append(unknown[:maxUnknown], "…")
	}
	if res == nil {
		res = &engine.Response{}
	}
	res.Warnings = append(res.Warnings, "Endpoint ignored these unrecognised parameters: ["+strings.Join(unknown, " ")+"]")
	return res
}

func shorten(name string) string {
	if len(name) <= maxUnknownName {
		return name
	}
	return strings.ToValidUTF8(name[:maxUnknownName], "") + "…"
}
