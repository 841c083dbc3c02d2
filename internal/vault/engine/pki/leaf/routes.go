package leaf

import (
	"crypto/x509"
	"slices"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/keypath"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/issuing"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/wire"
)

// caUsages are never a leaf's.
const caUsages = x509.KeyUsageCertSign | x509.KeyUsageCRLSign

// handlers keep no state.
type handlers struct{ cfg engine.Config }

func readCSR(req *engine.Request) (*x509.CertificateRequest, error) {
	d := req.Decode()
	text := d.String("csr", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	return issuing.ParseCSR(text)
}

// Routes are the roles and all that issues by them.
func Routes(cfg engine.Config) []engine.Route {
	h := &handlers{cfg}
	issue := engine.Route{
		Pattern: "issue/{role}", Handlers: wire.Handlers{engine.Update: h.issue},
		Summary: "Make a key and its certificate.", Help: "The private key is in the answer and kept nowhere.",
		Fields: slices.Concat(wire.NameFields(), wire.FormatFields(true)),
	}
	sign := engine.Route{
		Pattern: "sign/{role}", Handlers: wire.Handlers{engine.Update: h.sign},
		Summary: "Sign a certificate request.", Help: "What the request asks for is held against the role, whether it is in the CSR or in the call. Extensions of the CSR other than its alternative names are never copied.",
		Fields: slices.Concat([]engine.Field{wire.Str("csr", "The certificate request, in PEM.")}, wire.NameFields(), wire.FormatFields(false)),
	}
	verbatim := engine.Route{
		Pattern: "sign-verbatim", Handlers: wire.Handlers{engine.Update: h.signVerbatim},
		Summary: "Sign a certificate request with the names it has.",
		Help:    "The subject and all alternative names are copied unchecked; no other extension is. A role gives lifetimes, issuer and storage. Grant it to those who may have any name.",
		Fields: slices.Concat([]engine.Field{
			wire.Str("csr", "The certificate request, in PEM."),
			wire.Time("ttl", "that of the role or mount", "How long the certificate is valid."),
			wire.Str("not_after", "When it ends, in RFC 3339; instead of ttl."),
			wire.Strs("key_usage", "Key usages; by default DigitalSignature, KeyAgreement, KeyEncipherment."),
			wire.Strs("ext_key_usage", "Extended key usages, such as ServerAuth."),
			wire.Strs("ext_key_usage_oids", "Extended key usages by object identifier."),
			wire.Int("signature_bits", "0", "Digest of an RSA signature: 256, 384 or 512."),
			wire.Bool("use_pss", "false", "Sign with RSA-PSS, if the issuer's key is RSA."),
		}, wire.FormatFields(false)),
	}
	verbatimRole := verbatim
	verbatimRole.Pattern += "/{role}"
	routes := []engine.Route{issue, sign, verbatimRole, verbatim}
	for _, r := range []engine.Route{issue, sign, verbatimRole, verbatim} {
		r.Pattern = "issuer/{ref}/" + r.Pattern
		routes = append(routes, r)
	}
	return append(routes, h.roleRoutes()...)
}

func (h *handlers) roleRoutes() []engine.Route {
	return []engine.Route{
		{
			Pattern: "roles", Handlers: wire.Handlers{engine.List: h.listRoles}, ReadOnly: true,
			Summary: "List roles.", Help: "Names in alphabetical order.", Fields: keypath.Fields(),
		},
		{
			Pattern: "roles/{role}", ReadOnly: true,
			Handlers: wire.Handlers{engine.Read: h.readRole, engine.Update: h.writeRole, engine.Patch: h.patchRole, engine.Delete: h.deleteRole},
			Summary:  "Roles: what may be issued.",
			Help:     "A write replaces the role: what is not given has its default. A patch changes what is given.",
			Fields:   roleFields(),
		},
	}
}

func roleFields() []engine.Field {
	r := fresh()
	fields := []engine.Field{
		wire.Time("ttl", "0", "Lifetime of certificates; 0: the mount's."),
		wire.Time("max_ttl", "0", "Longest lifetime; 0: the mount's."),
		wire.Time("not_before_duration", "30s", "How far back validity begins."),
		wire.Int("key_bits", "0", "Bits of keys, the least of those in certificate requests; 0: 2048 or 256, as the type is."),
		wire.Int("signature_bits", "0", "Digest of an RSA signature: 256, 384 or 512."),
	}
	for _, f := range lists(r) {
		fields = append(fields, wire.Strs(f.name, f.help))
	}
	for _, f := range flags(r) {
		def := "false"
		if *f.value {
			def = "true"
		}
		fields = append(fields, wire.Bool(f.name, def, f.help))
	}
	for _, f := range texts(r) {
		field := wire.Str(f.name, f.help)
		field.Default = *f.value
		fields = append(fields, field)
	}
	return fields
}
