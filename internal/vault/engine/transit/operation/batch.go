package operation

import (
	"bytes"
	"context"
	"encoding/base64"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// work is what a route does with one item: a request's body, or one object of
// its batch_input. It adds to o what it answers.
type work struct {
	do     func(o engine.Builder, item engine.Body) (engine.Builder, error)
	failed func(o engine.Builder) engine.Builder // what an item that failed has besides error; may be nil
	alike  bool                                  // either all items have a context or none
}

// run does the work for every item of a request. What is wrong with one item of
// a batch is said beside it; the answer is then 400, with all results in it.
func (w work) run(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	raw := req.Body.Field("batch_input")
	if raw == nil {
		o, err := w.do(engine.NewObject(), req.Body)
		if err != nil {
			return nil, err
		}
		return &engine.Response{Data: o.Value()}, nil
	}
	items, err := parseBatch(raw)
	if err != nil {
		return nil, err
	}
	if err := w.check(items); err != nil {
		return nil, err
	}
	status, err := partialStatus(req)
	if err != nil {
		return nil, err
	}
	data, succeeded, err := w.each(ctx, items)
	if err != nil {
		return nil, err
	}
	res := &engine.Response{Data: data}
	switch {
	case succeeded == len(items):
	case succeeded == 0:
		res.Status = 400
	default:
		res.Status = status
	}
	return res, nil
}

func (w work) check(items []engine.Body) error {
	if !w.alike {
		return nil
	}
	for _, item := range items {
		if hasContext(item) != hasContext(items[0]) {
			return errs.New(errs.Invalid, "context should be set either in all the request blocks or in none")
		}
	}
	return nil
}

func (w work) each(ctx context.Context, items []engine.Body) (data jsontext.Value, succeeded int, err error) {
	results := append(make([]byte, 0, 256*len(items)), `{"batch_results":[`...)
	for i, item := range items {
		if ctx.Err() != nil { // a batch of signatures can take minutes
			return nil, 0, errs.Newf(errs.Unavailable, "working on a batch, %d of %d items done: %w; send smaller ones", i, len(items), ctx.Err())
		}
		if i > 0 {
			results = append(results, ',')
		}
		d := item.Decode()
		reference := d.String("reference", "")
		o, err := w.do(engine.NewObject(), item)
		if err == nil {
			err = d.Err()
		}
		switch {
		case err == nil:
			succeeded++
		case errs.KindOf(err) != errs.Invalid:
			return nil, 0, err
		default:
			o = engine.NewObject().Str("error", err.Error())
			if w.failed != nil {
				o = w.failed(o)
			}
		}
		results = append(results, o.Str("reference", reference).Value()...)
	}
	return append(results, `]}`...), succeeded, nil
}

// partialStatus is the HTTP status where some items failed and others did not.
func partialStatus(req *engine.Request) (int, error) {
	d := req.Decode()
	n := d.Int("partial_failure_response_code", 400)
	if err := d.Err(); err != nil {
		return 0, err
	}
	if n < 200 || n > 599 || n == 204 || n == 304 {
		return 0, errs.New(errs.Invalid, "partial_failure_response_code must be an HTTP status between 200 and 599 that has a body")
	}
	return int(n), nil
}

// parseBatch splits a list of objects; the items alias raw. A string that holds
// such a list is taken too: the command line sends it so.
func parseBatch(raw jsontext.Value) ([]engine.Body, error) {
	bad := errs.New(errs.Invalid, "failed to parse batch input: batch_input must be a list of objects")
	if raw.Kind() == '"' {
		text, err := jsontext.AppendUnquote(nil, raw)
		if err != nil {
			return nil, bad
		}
		// As the value of an object it is held to the limits of every body.
		whole, err := engine.ParseBody(append(append([]byte(`{"batch_input":`), text...), '}'))
		if err != nil || whole.Len() != 1 {
			return nil, bad
		}
		raw = whole.Field("batch_input")
	}
	dec := jsontext.NewDecoder(bytes.NewReader(raw))
	if raw.Kind() != '[' {
		return nil, bad
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, bad
	}
	var items []engine.Body
	for dec.PeekKind() != ']' {
		v, err := dec.ReadValue()
		if err != nil || v.Kind() != '{' {
			return nil, bad
		}
		end := int(dec.InputOffset())
		item, err := engine.ParseBody(raw[end-len(v) : end : end])
		if err != nil {
			return nil, bad
		}
		items = append(items, item)
	}
	if len(items) == 0 {
		return nil, errs.New(errs.Invalid, "missing batch input to process")
	}
	return items, nil
}

// text returns a field's characters without copying where it is a plain JSON
// string; nil if it is absent.
func text(item engine.Body, name string) ([]byte, error) {
	v := item.Field(name)
	if v == nil {
		return nil, nil
	}
	if v[0] != '"' {
		return nil, errs.Newf(errs.Invalid, "field %q must be a string", name)
	}
	if inner := v[1 : len(v)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	unquoted, err := jsontext.AppendUnquote([]byte{}, v)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "field %q must be a string", name)
	}
	return unquoted, nil
}

// Bytes returns a field that is given in base64; nil if it is absent or empty.
func Bytes(item engine.Body, name string) ([]byte, error) {
	encoded, err := text(item, name)
	if err != nil || len(encoded) == 0 {
		return nil, err
	}
	b, err := base64.StdEncoding.AppendDecode(nil, encoded)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "failed to base64-decode %s: it must be standard base64 with padding", name)
	}
	return b, nil
}

func hasContext(item engine.Body) bool {
	c := item.Field("context")
	return c != nil && string(c) != `""`
}
