package server

import (
	"net/http"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/envelope"
	"github.com/strongkeep/strongkeep/internal/vault/gate"
)

// buffers holds the bodies of answers while they are written.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

const maxPooled = 256 << 10 // larger buffers are left to the collector

func withBuffer(f func(b []byte) []byte) {
	p := buffers.Get().(*[]byte)
	b := f((*p)[:0])
	if cap(b) <= maxPooled {
		*p = b
		buffers.Put(p)
	}
}

func appendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // invalid UTF-8 becomes U+FFFD
	return b
}

// writeErrors sends {"errors":[…]}.
func writeErrors(w http.ResponseWriter, status int, texts ...string) {
	writeErrorsWith(w, status, nil, texts...)
}

// writeErrorsWith sends {"errors":[…],"data":{…}}, without data if it is nil.
func writeErrorsWith(w http.ResponseWriter, status int, data jsontext.Value, texts ...string) {
	withBuffer(func(b []byte) []byte {
		b = append(b, `{"errors":[`...)
		for i, t := range texts {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, t)
		}
		b = append(b, ']')
		if data != nil {
			b = append(append(b, `,"data":`...), data...)
		}
		b = append(b, "}\n"...)
		send(w, status, b)
		return b
	})
}

// selfCounted is the largest body whose length net/http finds out and sends by
// itself, which costs less than telling it.
const selfCounted = 2 << 10

func send(w http.ResponseWriter, status int, body []byte) {
	if len(body) > selfCounted {
		w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone is nobody's error
}

// writeResponse sends an answer by the rules of the wire: 204 for a write
// without one, 404 for a read without one, else the envelope.
func writeResponse(w http.ResponseWriter, req *gate.Request, res *engine.Response) {
	switch {
	case envelope.Empty(req.Operation, res) && isWrite(req.Operation):
		delete(w.Header(), "Content-Type")
		w.WriteHeader(http.StatusNoContent)
	case envelope.Empty(req.Operation, res):
		writeErrors(w, http.StatusNotFound)
	case res.Raw != nil:
		w.Header().Set("Content-Type", res.Raw.ContentType)
		send(w, res.Raw.Status, res.Raw.Body)
	default:
		status := http.StatusOK
		if res.Status != 0 {
			status = res.Status
		}
		withBuffer(func(b []byte) []byte {
			b = envelope.Append(b, req.ID, res)
			send(w, status, b)
			return b
		})
	}
}
