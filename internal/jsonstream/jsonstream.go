package jsonstream

import (
	"bufio"
	"io"
	"iter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	v1 "github.com/go-json-experiment/json/v1"
)

// Compact writes v on a line, as an Encoder does that nothing was asked of. If it
// returns an error, some of v may have been written.
func Compact(w io.Writer, v any) error { return write(w, v) }

// Indented writes v for people too: indented by two spaces, and with <, > and & as
// they are. If it returns an error, some of v may have been written.
func Indented(w io.Writer, v any) error {
	return write(w, v, jsontext.WithIndent("  "), jsontext.EscapeForHTML(false))
}

// List writes a list as Indented does, an element at a time: none is needed once the
// next is asked for.
func List[T any](w io.Writer, all iter.Seq[T]) error {
	out := bufio.NewWriterSize(w, 64<<10)
	to := jsontext.NewEncoder(out, v1.DefaultOptionsV1(), jsontext.WithIndent("  "), jsontext.EscapeForHTML(false))
	if err := to.WriteToken(jsontext.BeginArray); err != nil {
		return err
	}
	for v := range all {
		if err := json.MarshalEncode(to, v); err != nil {
			return err
		}
	}
	if err := to.WriteToken(jsontext.EndArray); err != nil {
		return err
	}
	return out.Flush()
}

func write(w io.Writer, v any, options ...json.Options) error {
	out := bufio.NewWriterSize(w, 64<<10)
	if err := json.MarshalWrite(out, v, append([]json.Options{v1.DefaultOptionsV1()}, options...)...); err != nil {
		return err
	}
	if err := out.WriteByte('\n'); err != nil {
		return err
	}
	return out.Flush()
}
