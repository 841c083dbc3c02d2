package revocation

import (
	"slices"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/wire"
)

// Routes are all that revokes, and all that says what is revoked.
func Routes(cfg engine.Config, b *Builder) []engine.Route {
	h := &handlers{cfg, b, newAnswers()}
	return slices.Concat(crlRoutes(), h.ocspRoutes(), h.revokeRoutes(), h.rotateRoutes())
}

func public(pattern string, handler engine.Handler, summary string) engine.Route {
	return engine.Route{
		Pattern: pattern, Handlers: wire.Handlers{engine.Read: handler}, ReadOnly: true, Unauthenticated: true,
		Summary: summary, Help: "Public: needs no token.",
	}
}

func crlRoutes() []engine.Route {
	routes := []engine.Route{
		public("cert/crl", enveloped("certificate", false), "The default issuer's CRL."),
		public("cert/delta-crl", enveloped("certificate", true), "The default issuer's delta CRL."),
		public("issuer/{ref}/crl", enveloped("crl", false), "An issuer's CRL."),
		public("issuer/{ref}/crl/delta", enveloped("crl", true), "An issuer's delta CRL."),
		public("cert/crl/raw", serve(false, false), "The default issuer's CRL, in DER."),
		public("cert/crl/raw/pem", serve(false, true), "The default issuer's CRL, in PEM."),
		public("cert/delta-crl/raw", serve(true, false), "The default issuer's delta CRL, in DER."),
		public("cert/delta-crl/raw/pem", serve(true, true), "The default issuer's delta CRL, in PEM."),
		public("crl", serve(false, false), "The default issuer's CRL, in DER."),
		public("issuer/{ref}/crl/der", serve(false, false), "An issuer's CRL, in DER."),
		public("issuer/{ref}/crl/delta/der", serve(true, false), "An issuer's delta CRL, in DER."),
	}
	for _, prefix := range []string{"", "issuer/{ref}/"} {
		routes = append(routes,
			public(prefix+"crl/pem", serve(false, true), "The CRL, in PEM."),
			public(prefix+"crl/delta/pem", serve(true, true), "The delta CRL, in PEM."))
	}
	return append(routes, public("crl/delta", serve(true, false), "The default issuer's delta CRL, in DER."))
}

func (h *handlers) ocspRoutes() []engine.Route {
	post := engine.Route{
		Pattern: "ocsp", Handlers: wire.Handlers{engine.Update: h.ocspPost}, Unauthenticated: true,
		Summary: "OCSP: is a certificate revoked?", Help: "The body is a request in DER, of the type application/ocsp-request. Public: needs no token.",
	}
	return []engine.Route{post, public("ocsp/{request...}", h.ocspGet, "OCSP: is a certificate revoked? The request is base64 in the path.")}
}

func (h *handlers) revokeRoutes() []engine.Route {
	which := []engine.Field{
		wire.Str("serial_number", "Its serial number: hex in pairs, separated by colons."),
		wire.Str("certificate", "Or the certificate itself, in PEM, which need not be kept here."),
	}
	return []engine.Route{
		{
			Pattern: "revoke", Handlers: wire.Handlers{engine.Update: h.revoke},
			Summary: "Revoke a certificate.", Help: "This cannot be taken back. The CRL has it when the answer comes, unless auto_rebuild is set or the CRL is large.", Fields: which,
		},
		{
			Pattern: "revoke-with-key", Handlers: wire.Handlers{engine.Update: h.revokeWithKey},
			Summary: "Revoke a certificate by its private key.", Help: "Whoever has the key may revoke.",
			Fields: append(slices.Clone(which), wire.Secret("private_key", "The certificate's private key, in PEM.")),
		},
		{
			Pattern: "certs", Handlers: wire.Handlers{engine.List: listCerts}, ReadOnly: true,
			Summary: "List the serial numbers of certificates that are kept.", Help: "In no order; after and limit page through them.",
			Fields: []engine.Field{wire.Str("after", "List only those behind this one."), wire.Int("limit", "0", "List at most this many; 0 lists all.")},
		},
		{
			Pattern: "certs/revoked", Handlers: wire.Handlers{engine.List: listRevoked}, ReadOnly: true,
			Summary: "List the serial numbers of revoked certificates.", Help: "In no order.",
		},
		public("cert/{serial}", readCert, "A certificate, and whether it is revoked."),
		public("cert/{serial}/raw", rawCert(false), "A certificate, in DER."),
		public("cert/{serial}/raw/pem", rawCert(true), "A certificate, in PEM."),
	}
}

func (h *handlers) rotateRoutes() []engine.Route {
	return []engine.Route{
		{
			Pattern: "crl/rotate", Handlers: wire.Handlers{engine.Read: h.rotate, engine.Update: h.rotate},
			Summary: "Build all CRLs now.", Help: "They are in place when the answer comes.",
		},
		{
			Pattern: "crl/rotate-delta", Handlers: wire.Handlers{engine.Read: h.rotateDelta, engine.Update: h.rotateDelta},
			Summary: "Build all delta CRLs now.", Help: "They are in place when the answer comes.",
		},
		{
			Pattern: "config/crl", Handlers: wire.Handlers{engine.Read: readConfig, engine.Update: h.writeConfig}, ReadOnly: true,
			Summary: "How CRLs and OCSP answers are made.", Help: "A CRL is always made anew before it ends.",
			Fields: []engine.Field{
				{Name: "expiry", Type: engine.String, Default: "72h", Help: "How long a CRL is valid."},
				wire.Bool("disable", "false", "CRLs are empty."), wire.Bool("ocsp_disable", "false", "OCSP requests are refused."),
				{Name: "ocsp_expiry", Type: engine.String, Default: "12h", Help: "How long an OCSP answer is valid; 0: it does not say."},
				wire.Bool("auto_rebuild", "false", "A revocation alone has no CRL built; only time has."),
				{Name: "auto_rebuild_grace_period", Type: engine.String, Default: "12h", Help: "How long before its end a CRL is made anew, at most half of expiry."},
				wire.Bool("enable_delta", "false", "Build delta CRLs; needs auto_rebuild."),
				{Name: "delta_rebuild_interval", Type: engine.String, Default: "15m", Help: "How often delta CRLs are built."},
			},
		},
	}
}
