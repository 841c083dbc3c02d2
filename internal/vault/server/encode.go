package server

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
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
	withBuffer(func(b []byte) []byte {
		b = append(b, `{"errors":[`...)
		for i, t := range texts {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, t)
		}
		b = append(b, "]}\n"...)
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

var noKeys = []byte(`{"keys":[]}`)

// empty reports whether an answer has nothing in it. A list without names is empty.
func empty(req *gate.Request, res *engine.Response) bool {
	if res == nil {
		return true
	}
	if res.Auth != nil || len(res.Warnings) > 0 || res.Raw != nil || res.Status != 0 {
		return false
	}
	return len(res.Data) == 0 || (req.Operation == engine.List && bytes.Equal(res.Data, noKeys))
}

// writeResponse sends an answer by the rules of the wire: 204 for a write
// without one, 404 for a read without one, else the envelope.
func writeResponse(w http.ResponseWriter, req *gate.Request, res *engine.Response) {
	switch {
	case empty(req, res) && isWrite(req.Operation):
		delete(w.Header(), "Content-Type")
		w.WriteHeader(http.StatusNoContent)
	case empty(req, res):
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
			b = appendEnvelope(b, req.ID, res)
			send(w, status, b)
			return b
		})
	}
}

// appendEnvelope writes every key of the envelope, absent parts as null.
func appendEnvelope(b []byte, id string, res *engine.Response) []byte {
	b = append(b, `{"request_id":"`...)
	b = append(b, id...)
	b = append(b, `","lease_id":`...)
	lease := res.Lease
	if lease == nil {
		lease = &engine.Lease{}
	}
	b = appendString(b, lease.ID)
	b = append(b, `,"renewable":`...)
	b = strconv.AppendBool(b, lease.Renewable)
	b = append(b, `,"lease_duration":`...)
	b = strconv.AppendInt(b, int64(lease.TTL.Seconds()), 10)
	b = append(b, `,"data":`...)
	if len(res.Data) == 0 {
		b = append(b, "null"...)
	} else {
		b = append(b, res.Data...)
	}
	b = append(b, `,"wrap_info":null,"warnings":`...)
	b = appendStrings(b, res.Warnings)
	b = append(b, `,"auth":`...)
	b = appendAuth(b, res.Auth)
	if res.TopLevel {
		b = appendMembers(b, res.Data)
	}
	return append(b, "}\n"...)
}

// envelope is the names that appendEnvelope writes itself.
var envelope = []string{"request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth"}

// appendMembers repeats the members of data beside it, but none under a name
// of the envelope: a client that asks for the capabilities of the path "data"
// must get the same "data" as any other.
func appendMembers(b []byte, data jsontext.Value) []byte {
	if len(data) == 0 {
		return b
	}
	// The data is what an engine encoded a moment ago: it is an object.
	_ = engine.Members(data, func(name string, value jsontext.Value) error {
		if !slices.Contains(envelope, name) {
			b = append(appendString(append(b, ','), name), ':')
			b = append(b, value...)
		}
		return nil
	})
	return b
}

// appendStrings writes a list, null if it is nil.
func appendStrings(b []byte, list []string) []byte {
	if list == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

func appendAuth(b []byte, auth *engine.Auth) []byte {
	if auth == nil || auth.Issued == nil {
		return append(b, "null"...)
	}
	t := auth.Issued
	b = appendString(append(b, `{"client_token":`...), t.ClientToken)
	b = appendString(append(b, `,"accessor":`...), t.Accessor)
	b = appendStrings(append(b, `,"policies":`...), t.Policies)
	b = appendStrings(append(b, `,"token_policies":`...), t.TokenPolicies)
	b = appendMap(append(b, `,"metadata":`...), auth.Metadata)
	b = strconv.AppendInt(append(b, `,"lease_duration":`...), int64(t.TTL.Seconds()), 10)
	b = strconv.AppendBool(append(b, `,"renewable":`...), t.Renewable)
	b = appendString(append(b, `,"entity_id":`...), t.EntityID)
	b = appendString(append(b, `,"token_type":`...), t.Type.String())
	b = strconv.AppendBool(append(b, `,"orphan":`...), t.Orphan)
	b = strconv.AppendInt(append(b, `,"mfa_requirement":null,"num_uses":`...), int64(t.NumUses), 10)
	return append(b, '}')
}

// appendMap writes an object with sorted names, null if it is nil.
func appendMap(b []byte, m map[string]string) []byte {
	if m == nil {
		return append(b, "null"...)
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(appendString(b, name), ':'), m[name])
	}
	return append(b, '}')
}
