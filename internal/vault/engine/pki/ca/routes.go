package ca

import (
	"context"
	"slices"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/keypair"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/wire"
)

// Routes are all that make and change CAs. refresh is called behind the commit of
// what makes or changes an issuer: it builds CRLs.
func Routes(cfg engine.Config, refresh func(context.Context) error) []engine.Route {
	h := &handlers{cfg, refresh}
	return slices.Concat(h.makeRoutes(), h.importRoutes(), h.publicRoutes(), h.issuerRoutes(), h.keyRoutes(), h.settingsRoutes())
}

func keyFields() []engine.Field {
	return []engine.Field{
		{Name: "key_type", Type: engine.String, Default: keypair.RSA, Help: "rsa, ec or ed25519."},
		wire.Int("key_bits", "0", "2048 to 8192, or 224 to 521; 0: 2048 or 256."),
		wire.Str("key_name", "Name of the key."),
		wire.Str("key_ref", "existing: ID or name of the key; default: the default one."),
	}
}

func wishFields() []engine.Field {
	fields := slices.Concat(wire.NameFields(), wire.FormatFields(true), []engine.Field{
		wire.Int("max_path_length", "-1", "CAs that may stand below; -1: any number, or one less than the issuer's."),
		wire.Int("signature_bits", "0", "Digest of an RSA signature: 256, 384 or 512."),
		wire.Bool("use_pss", "false", "Sign with RSA-PSS, if the key is RSA."),
		wire.Time("not_before_duration", "30s", "How far back validity begins."),
		wire.Strs("key_usage", "Key usages besides CertSign and CRLSign."),
	})
	for _, name := range []string{"ou", "organization", "country", "locality", "province", "street_address", "postal_code"} {
		fields = append(fields, wire.Strs(name, "Of the subject."))
	}
	for _, name := range []string{"dns_domains", "ip_ranges", "email_addresses", "uri_domains"} {
		fields = append(fields, wire.Strs("permitted_"+name, "Name constraint: only these below."), wire.Strs("excluded_"+name, "Name constraint: none of these below."))
	}
	return fields
}

func (h *handlers) makeRoutes() []engine.Route {
	root := engine.Route{
		Pattern: "root/generate/{exported}", Handlers: wire.Handlers{engine.Update: h.generateRoot}, Sudo: false,
		Summary: "Make a root.", Help: "internal, exported (the key is shown once) or existing (key_ref). Other issuers stay. Without ttl it lasts as long as the mount allows.",
		Fields: slices.Concat(keyFields(), wishFields(), []engine.Field{wire.Str("issuer_name", "Name of the issuer.")}),
	}
	root2, rotate := root, root
	root2.Pattern = "issuers/generate/root/{exported}"
	rotate.Pattern, rotate.Handlers = "root/rotate/{exported}", wire.Handlers{engine.Update: h.rotateRoot}
	rotate.Summary, rotate.Help = "Make the next root.", "As root/generate, with the issuer called next unless it is given a name. root/replace makes it the default."
	intermediate := engine.Route{
		Pattern: "intermediate/generate/{exported}", Handlers: wire.Handlers{engine.Update: h.generateIntermediate},
		Summary: "Make a key and a certificate request for another CA.", Help: "internal, exported or existing. intermediate/set-signed brings in what the other CA makes of it.",
		Fields: slices.Concat(keyFields(), wishFields(), []engine.Field{wire.Bool("add_basic_constraints", "false", "Say in the request that it is for a CA.")}),
	}
	intermediate2 := intermediate
	intermediate2.Pattern = "issuers/generate/intermediate/{exported}"
	sign := engine.Route{
		Pattern: "root/sign-intermediate", Handlers: wire.Handlers{engine.Update: h.signIntermediate},
		Summary: "Sign the certificate request of a CA.", Help: "The names are those of the call; with use_csr_values those of the request. No extension of the request but its alternative names is copied.",
		Fields: slices.Concat(wishFields(), []engine.Field{
			wire.Str("csr", "The certificate request, in PEM."), wire.Bool("use_csr_values", "false", "Take subject and alternative names from the request."),
			wire.Bool("enforce_leaf_not_after_behavior", "false", "Hold it to the issuer's leaf_not_after_behavior; otherwise it may outlive the issuer."),
			wire.Str("issuer_ref", "ID or name of the issuer; default: the default one."),
		}),
	}
	self := engine.Route{
		Pattern: "root/sign-self-issued", Handlers: wire.Handlers{engine.Update: h.signSelfIssued}, Sudo: true,
		Summary: "Sign a root's certificate again.", Help: "Everything stays as it is in the certificate, but the issuer: a cross signature. Needs sudo.",
		Fields: []engine.Field{
			wire.Str("certificate", "A self-issued CA certificate, in PEM."),
			wire.Bool("require_matching_certificate_algorithms", "false", "Refuse if its key is of another type than the issuer's."),
			wire.Str("issuer_ref", "ID or name of the issuer; default: the default one."),
		},
	}
	sign2, self2 := sign, self
	sign2.Pattern, self2.Pattern = "issuer/{ref}/sign-intermediate", "issuer/{ref}/sign-self-issued"
	return []engine.Route{root, root2, rotate, intermediate, intermediate2, sign, sign2, self, self2}
}

func (h *handlers) importRoutes() []engine.Route {
	bundle := engine.Route{
		Pattern: "issuers/import/bundle", Handlers: wire.Handlers{engine.Update: h.importBundle},
		Summary: "Bring in certificates and keys.", Help: "Certificates of CAs and private keys in PEM, in any order. What is there already stays as it is.",
		Fields: []engine.Field{wire.Secret("pem_bundle", "PEM of certificates and unencrypted private keys.")},
	}
	legacy, cert := bundle, bundle
	legacy.Pattern = "config/ca"
	cert.Pattern, cert.Handlers, cert.Help = "issuers/import/cert", wire.Handlers{engine.Update: h.importCertificates}, "Certificates of CAs in PEM, without keys."
	return []engine.Route{bundle, legacy, cert, {
		Pattern: "intermediate/set-signed", Handlers: wire.Handlers{engine.Update: h.setSigned},
		Summary: "Bring in the signed certificate of an intermediate.", Help: "And those above it, if they are to be in chains.",
		Fields: []engine.Field{wire.Str("certificate", "PEM of the certificate, and of those above it.")},
	}}
}

func open(pattern string, handler engine.Handler, summary string) engine.Route {
	return engine.Route{
		Pattern: pattern, Handlers: wire.Handlers{engine.Read: handler}, ReadOnly: true, Unauthenticated: true,
		Summary: summary, Help: "Public: needs no token.",
	}
}

func (h *handlers) publicRoutes() []engine.Route {
	return []engine.Route{
		open("ca", public(issuerDER), "The default issuer's certificate, in DER."),
		open("ca/pem", public(issuerPEM), "The default issuer's certificate, in PEM."),
		open("ca_chain", public(issuerChain), "The default issuer's chain, in PEM."),
		open("cert/ca", public(certCA), "The default issuer's certificate."),
		open("cert/ca/raw", public(issuerDER), "The default issuer's certificate, in DER."),
		open("cert/ca/raw/pem", public(issuerPEM), "The default issuer's certificate, in PEM."),
		open("cert/ca_chain", public(certChain), "The default issuer's chain."),
		open("issuer/{ref}/json", named(issuerJSON), "An issuer's certificate and chain."),
		open("issuer/{ref}/der", named(issuerDER), "An issuer's certificate, in DER."),
		open("issuer/{ref}/pem", named(issuerPEM), "An issuer's certificate, in PEM."),
	}
}

func (h *handlers) issuerRoutes() []engine.Route {
	urls := []engine.Field{
		wire.Strs("issuing_certificates", "Where the issuer's certificate is."), wire.Strs("crl_distribution_points", "Where its CRL is."),
		wire.Strs("delta_crl_distribution_points", "Where its delta CRL is."), wire.Strs("ocsp_servers", "Its OCSP responders."),
	}
	return []engine.Route{
		{
			Pattern: "issuers", Handlers: wire.Handlers{engine.List: listIssuers}, ReadOnly: true, Unauthenticated: true,
			Summary: "List issuers.", Help: "IDs, names and serial numbers. Public: needs no token.",
		},
		{
			Pattern: "issuer/{ref}", ReadOnly: true,
			Handlers: wire.Handlers{engine.Read: readIssuer, engine.Update: h.updateIssuer, engine.Patch: h.updateIssuer, engine.Delete: h.deleteIssuer},
			Summary:  "One issuer.", Help: "By ID, name, or default. A write changes what is given. Deleting leaves its key and its revocations.",
			Fields: append([]engine.Field{
				wire.Str("issuer_name", "Its name."), wire.Strs("usage", "What it may be used for: read-only, issuing-certificates, crl-signing, ocsp-signing."),
				wire.Str("leaf_not_after_behavior", "What becomes of a certificate that would outlive it: err, truncate or permit."),
				wire.Strs("manual_chain", "IDs or names of the chain, itself first; empty: found by itself."),
				wire.Str("revocation_signature_algorithm", "How CRLs and OCSP answers are signed, such as SHA256WithRSA."),
				wire.Bool("enable_aia_url_templating", "false", "{{issuer_id}}, {{cluster_path}} and {{cluster_aia_path}} in its URLs stand for these."),
			}, urls...),
		},
		{
			Pattern: "issuer/{ref}/revoke", Handlers: wire.Handlers{engine.Update: h.revokeIssuer},
			Summary: "Revoke an issuer.", Help: "It issues nothing any more, and is on the CRL of the one above it, if that is here. This cannot be taken back.",
		},
		{
			Pattern: "root", Handlers: wire.Handlers{engine.Delete: h.deleteRoot}, Sudo: true,
			Summary: "Remove all issuers and keys.", Help: "For good. Needs sudo.",
		},
		{
			Pattern: "root/replace", Handlers: wire.Handlers{engine.Update: h.replaceRoot},
			Summary: "Make another issuer the default.", Help: "By default the one called next.", Fields: []engine.Field{wire.Str("default", "ID or name of the issuer.")},
		},
		{
			Pattern: "config/urls", Handlers: wire.Handlers{engine.Read: readURLs, engine.Update: writeURLs}, ReadOnly: true,
			Summary: "URLs in certificates.", Help: "For issuers that have none of their own.",
			Fields: append(urls, wire.Bool("enable_templating", "false", "{{issuer_id}}, {{cluster_path}} and {{cluster_aia_path}} in URLs stand for these.")),
		},
	}
}

func (h *handlers) keyRoutes() []engine.Route {
	name := wire.Str("key_name", "Name of the key.")
	return []engine.Route{
		{Pattern: "keys", Handlers: wire.Handlers{engine.List: listKeys}, ReadOnly: true, Summary: "List keys.", Help: "IDs and names."},
		{
			Pattern: "keys/import", Handlers: wire.Handlers{engine.Update: h.importKey},
			Summary: "Bring in a private key.", Help: "Issuers that were waiting for it can sign then.",
			Fields: []engine.Field{wire.Secret("pem_bundle", "PEM of one private key."), name},
		},
		{
			Pattern: "keys/generate/{exported}", Handlers: wire.Handlers{engine.Update: h.generateKey},
			Summary: "Make a key.", Help: "internal, or exported: it is shown once.", Fields: slices.Concat(keyFields()[:3], wire.FormatFields(true)),
		},
		{
			Pattern: "key/{ref}", Handlers: wire.Handlers{engine.Read: readKey, engine.Update: h.updateKey, engine.Delete: h.deleteKey}, ReadOnly: true,
			Summary: "One key.", Help: "By ID, name, or default. The private key is never shown. Deleting is for good, and its issuers can sign no more.", Fields: []engine.Field{name},
		},
	}
}

func (h *handlers) settingsRoutes() []engine.Route {
	return []engine.Route{
		{
			Pattern: "config/issuers", Handlers: wire.Handlers{engine.Read: readIssuersConfig, engine.Update: h.writeIssuersConfig}, ReadOnly: true,
			Summary: "The default issuer.", Help: "Used where no issuer is named.",
			Fields: []engine.Field{wire.Str("default", "ID or name of the issuer."), wire.Bool("default_follows_latest_issuer", "false", "An issuer with a key becomes the default when it is made or brought in.")},
		},
		{
			Pattern: "config/keys", Handlers: wire.Handlers{engine.Read: readKeysConfig, engine.Update: h.writeKeysConfig}, ReadOnly: true,
			Summary: "The default key.", Help: "Used where no key is named.", Fields: []engine.Field{wire.Str("default", "ID or name of the key.")},
		},
		{
			Pattern: "config/cluster", Handlers: wire.Handlers{engine.Read: readCluster, engine.Update: writeCluster}, ReadOnly: true,
			Summary: "Where clients reach this mount.", Help: "For the templates in URLs.",
			Fields: []engine.Field{wire.Str("path", "URL of the mount, such as https://vault.example.com/v1/pki."), wire.Str("aia_path", "URL of public material.")},
		},
	}
}
