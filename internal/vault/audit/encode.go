package audit

import (
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/vault/audit/hashing"
)

// encoder makes lines for one device. It is used concurrently.
//
// A line is prefix, one JSON object, newline:
//
//	{"time":…,"type":"request","auth":{…},"request":{…}}
//	{"time":…,"type":"response","auth":{…},"request":{…},"response":{…},"error":…}
//
// The members have Vault's names (its documentation of the audit log's entry
// schema) so that what reads Vault's log reads ours.
type encoder struct {
	*hashing.Hasher
	format Format
}

// line appends the whole line of e to s.Line.
func (c *encoder) line(s *hashing.State, e *Entry) []byte {
	l := liner{encoder: c, s: s, b: append(s.Line[:0], c.format.Prefix...)}
	l.entry(e)
	s.Line = append(l.b, '\n')
	return s.Line
}

// liner is a line in the making. Each method appends one part; separators
// come from comma, which looks at what stands before.
type liner struct {
	*encoder
	s *hashing.State
	b []byte
	// A token and its accessor each stand twice in most lines, once with who
	// asks and once with the request, and again in the answer to who looks its
	// own token up; the second time the hash is copied.
	token, access seen
}

// seen is where in the line the quoted hash of clear stands.
type seen struct {
	clear    string
	from, to int
}

// moved is s in a text that begins so many bytes earlier.
func (s seen) moved(by int) seen {
	if s.clear == "" {
		return s
	}
	return seen{s.clear, s.from + by, s.to + by}
}

// known is s for those who hash values.
func (l *liner) known(s seen) hashing.Known {
	return hashing.Known{Clear: s.clear, Hash: l.b[s.from:s.to]}
}

func (l *liner) entry(e *Entry) {
	l.b = append(l.b, '{')
	l.time("time", e.Time)
	l.text("type", e.Type.String())
	l.exchange(e)
	if e.Response != nil {
		l.open("response")
		elide := l.format.ElideListResponses && e.Request != nil && e.Request.Operation == "list"
		l.response(e.Response, elide)
		l.b = append(l.b, '}')
	}
	l.text("error", e.Error)
	l.b = append(l.b, '}')
}

// exchange appends what both lines of an exchange have.
func (l *liner) exchange(e *Entry) {
	if e.Shared != nil && e.Shared.of == l.encoder {
		l.token, l.access = e.Shared.token.moved(len(l.b)), e.Shared.access.moved(len(l.b))
		l.b = append(l.b, e.Shared.text...)
		return
	}
	from := len(l.b)
	if e.Auth != nil {
		l.open("auth")
		l.auth(e.Auth)
		l.b = append(l.b, '}')
	}
	if e.Request != nil {
		l.open("request")
		l.request(e.Request)
		l.b = append(l.b, '}')
	}
	if e.Shared != nil && e.Shared.of == nil {
		e.Shared.of, e.Shared.text = l.encoder, append(e.Shared.text[:0], l.b[from:]...)
		e.Shared.token, e.Shared.access = l.token.moved(-from), l.access.moved(-from)
	}
}

func (l *liner) auth(a *Auth) {
	l.secret("client_token", string(a.ClientToken))
	l.accessor("accessor", a.Accessor)
	l.text("display_name", a.DisplayName)
	l.list("policies", a.Policies)
	l.list("token_policies", a.TokenPolicies)
	l.list("identity_policies", a.IdentityPolicies)
	l.flag("no_default_policy", a.NoDefaultPolicy)
	if a.PolicyResults != nil {
		l.results(a.PolicyResults)
	}
	l.metadata(a.Metadata)
	l.number("num_uses", int64(a.NumUses))
	l.number("remaining_uses", int64(a.RemainingUses))
	l.text("entity_id", a.EntityID)
	l.flag("entity_created", a.EntityCreated)
	l.text("token_type", a.TokenType)
	l.number("token_ttl", int64(a.TokenTTL/time.Second))
	l.time("token_issue_time", a.TokenIssueTime)
}

func (l *liner) results(r *PolicyResults) {
	l.open("policy_results")
	l.name("allowed")
	l.b = strconv.AppendBool(l.b, r.Allowed)
	if len(r.GrantingPolicies) > 0 {
		l.name("granting_policies")
		l.b = append(l.b, '[')
		for i := range r.GrantingPolicies {
			p := &r.GrantingPolicies[i]
			l.comma()
			l.b = append(l.b, '{')
			l.text("name", p.Name)
			l.text("namespace_id", p.NamespaceID)
			l.text("namespace_path", p.NamespacePath)
			l.text("type", p.Type)
			l.b = append(l.b, '}')
		}
		l.b = append(l.b, ']')
	}
	l.b = append(l.b, '}')
}

func (l *liner) metadata(m map[string]string) {
	if len(m) == 0 {
		return
	}
	var room [16]string // spares the allocation in all usual cases
	names := room[:0]
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	l.open("metadata")
	for _, name := range names {
		l.comma()
		l.quote(name)
		l.b = append(l.b, ':')
		l.quote(m[name])
	}
	l.b = append(l.b, '}')
}

func (l *liner) request(r *Request) {
	l.text("id", r.ID)
	l.text("client_id", r.ClientID)
	l.text("operation", r.Operation)
	l.mount(&r.Mount)
	l.secret("client_token", string(r.ClientToken))
	l.accessor("client_token_accessor", r.ClientTokenAccessor)
	if r.Namespace != (Namespace{}) {
		l.open("namespace")
		l.text("id", r.Namespace.ID)
		l.text("path", r.Namespace.Path)
		l.b = append(l.b, '}')
	}
	l.text("path", r.Path)
	l.data(r.Data, r.NonHMACKeys, false)
	l.text("remote_address", r.RemoteAddress)
	l.number("remote_port", int64(r.RemotePort))
	l.number("wrap_ttl", int64(r.WrapTTL/time.Second))
	l.headers(r.Headers)
	l.text("client_certificate_serial_number", r.CertificateSerial)
}

func (l *liner) response(r *Response, elide bool) {
	if r.Auth != nil {
		l.open("auth")
		l.auth(r.Auth)
		l.b = append(l.b, '}')
	}
	l.mount(&r.Mount)
	if r.LeaseID != "" {
		l.open("secret")
		l.text("lease_id", r.LeaseID)
		l.b = append(l.b, '}')
	}
	if r.Raw != nil {
		l.raw(r.Raw)
	} else {
		l.data(r.Data, r.NonHMACKeys, elide)
	}
	l.list("warnings", r.Warnings)
	l.text("redirect", r.Redirect)
	if r.WrapInfo != nil {
		l.wrap(r.WrapInfo)
	}
	l.headers(r.Headers)
}

// raw stands for Response.Data. The body is hashed whatever the device's
// options (Vault's CVE-2025-62513 logged such bodies in the clear).
func (l *liner) raw(r *Raw) {
	l.open("data")
	l.text("http_content_type", r.ContentType)
	l.name("http_raw_body")
	l.b = l.s.AppendHash(l.b, r.Body)
	l.name("http_raw_body_length")
	l.b = strconv.AppendInt(l.b, int64(len(r.Body)), 10)
	l.number("http_status_code", int64(r.Status))
	l.b = append(l.b, '}')
}

func (l *liner) wrap(w *WrapInfo) {
	l.open("wrap_info")
	l.number("ttl", int64(w.TTL/time.Second))
	l.secret("token", string(w.Token))
	l.accessor("accessor", w.Accessor)
	l.time("creation_time", w.CreationTime)
	l.text("creation_path", w.CreationPath)
	l.accessor("wrapped_accessor", w.WrappedAccessor)
	l.b = append(l.b, '}')
}

func (l *liner) mount(m *Mount) {
	l.text("mount_point", m.Point)
	l.text("mount_type", m.Type)
	l.text("mount_accessor", m.Accessor)
	l.text("mount_running_version", m.Version)
	l.text("mount_class", m.Class)
}

func (l *liner) headers(hs []Header) {
	if len(hs) == 0 {
		return
	}
	l.open("headers")
	for i := range hs {
		l.comma()
		l.quote(hs[i].Name)
		l.b = append(l.b, ':', '[')
		for _, v := range hs[i].Values {
			l.comma()
			if hs[i].HMAC && !l.format.LogRaw {
				l.b = l.s.AppendHashString(l.b, v)
			} else {
				l.quote(v)
			}
		}
		l.b = append(l.b, ']')
	}
	l.b = append(l.b, '}')
}

func (l *liner) data(v jsontext.Value, plain []string, elide bool) {
	if len(v) == 0 {
		return
	}
	l.name("data")
	l.b = l.s.AppendValue(l.b, v, hashing.Options{Raw: l.format.LogRaw, Elide: elide, Plain: plain, Known: [2]hashing.Known{l.known(l.token), l.known(l.access)}})
}
