package envelope

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

var noKeys = []byte(`{"keys":[]}`)

// Empty reports whether the answer to op has nothing in it: on the wire it is a
// status without content. A list without names is empty.
func Empty(op engine.Operation, res *engine.Response) bool {
	if res == nil {
		return true
	}
	if res.Auth != nil || res.Lease != nil && res.Lease.ID != "" || res.Wrapped != nil || len(res.Warnings) > 0 || res.Raw != nil || res.Status != 0 {
		return false
	}
	return len(res.Data) == 0 || (op == engine.List && bytes.Equal(res.Data, noKeys))
}

func appendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // invalid UTF-8 becomes U+FFFD
	return b
}

// Append writes every key of the envelope to b, absent parts as null, and a
// newline. id is the request's.
func Append(b []byte, id string, res *engine.Response) []byte {
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
	b = appendWrapped(append(b, `,"wrap_info":`...), res.Wrapped)
	b = appendStrings(append(b, `,"warnings":`...), res.Warnings)
	b = append(b, `,"auth":`...)
	b = appendAuth(b, res.Auth)
	if res.TopLevel {
		b = appendMembers(b, res.Data)
	}
	return append(b, "}\n"...)
}

// keys are the names that Append writes itself.
var keys = []string{"request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth"}

// appendMembers repeats the members of data beside it, but none under a name
// of the envelope: a client that asks for the capabilities of the path "data"
// must get the same "data" as any other.
func appendMembers(b []byte, data jsontext.Value) []byte {
	if len(data) == 0 {
		return b
	}
	// The data is what an engine encoded a moment ago: it is an object.
	_ = engine.Members(data, func(name string, value jsontext.Value) error {
		if !slices.Contains(keys, name) {
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
	if len(t.IdentityPolicies) > 0 {
		b = appendStrings(append(b, `,"identity_policies":`...), t.IdentityPolicies)
	}
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

// appendWrapped writes what stands in the place of a wrapped answer (facts §2.10).
func appendWrapped(b []byte, w *engine.Wrapped) []byte {
	if w == nil {
		return append(b, "null"...)
	}
	b = appendString(append(b, `{"token":`...), w.Token.RevealString())
	b = appendString(append(b, `,"accessor":`...), w.Accessor)
	b = strconv.AppendInt(append(b, `,"ttl":`...), int64(w.TTL.Seconds()), 10)
	b = appendString(append(b, `,"creation_time":`...), w.Created.UTC().Format(time.RFC3339Nano))
	b = appendString(append(b, `,"creation_path":`...), w.CreationPath)
	if w.WrappedAccessor != "" {
		b = appendString(append(b, `,"wrapped_accessor":`...), w.WrappedAccessor)
	}
	return append(b, '}')
}
