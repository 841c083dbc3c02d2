package wire

import (
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/issuing"
)

// Handlers are a route's.
type Handlers = map[engine.Operation]engine.Handler

// Str is a field of a string.
func Str(name, help string) engine.Field {
	return engine.Field{Name: name, Type: engine.String, Help: help}
}

// Bool is a field that is true or false.
func Bool(name, def, help string) engine.Field {
	return engine.Field{Name: name, Type: engine.Bool, Default: def, Help: help}
}

// Int is a field of a number.
func Int(name, def, help string) engine.Field {
	return engine.Field{Name: name, Type: engine.Int, Default: def, Help: help}
}

// Strs is a field of a list.
func Strs(name, help string) engine.Field {
	return engine.Field{Name: name, Type: engine.Strings, Help: help}
}

// Time is a field of a duration.
func Time(name, def, help string) engine.Field {
	return engine.Field{Name: name, Type: engine.Duration, Default: def, Help: help}
}

// Secret is a field that is never shown again.
func Secret(name, help string) engine.Field {
	return engine.Field{Name: name, Type: engine.String, Secret: true, Help: help}
}

// NameFields are what a certificate is asked for with.
func NameFields() []engine.Field {
	return []engine.Field{
		Str("common_name", "Common name of the subject; also an alternative name, unless exclude_cn_from_sans."),
		Strs("alt_names", "Host names and email addresses among the alternative names."),
		Strs("ip_sans", "IP addresses among the alternative names."),
		Strs("uri_sans", "URIs among the alternative names, such as SPIFFE IDs."),
		Strs("other_sans", "Other names, each OID;UTF8:value."),
		Strs("user_ids", "User IDs (0.9.2342.19200300.100.1.1) in the subject."),
		Str("serial_number", "The subject's serialNumber; not that of the certificate."),
		Bool("exclude_cn_from_sans", "false", "Leave the common name out of the alternative names."),
		Time("ttl", "that of the role or mount", "How long the certificate is valid."),
		Str("not_after", "When it ends, in RFC 3339; instead of ttl."),
	}
}

// FormatFields are how the answer is to look.
func FormatFields(private bool) []engine.Field {
	fields := []engine.Field{
		{Name: "format", Type: engine.String, Default: "pem", Help: "pem, der (in base64) or pem_bundle (key, certificate and chain in one)."},
		Bool("remove_roots_from_chain", "false", "Leave roots out of ca_chain."),
	}
	if private {
		fields = append(fields, engine.Field{Name: "private_key_format", Type: engine.String, Default: "der", Help: "der (PKCS #1 or SEC 1, in what format says) or pkcs8."})
	}
	return fields
}

// Input reads NameFields.
func Input(d *engine.Decoder) *issuing.Input {
	return &issuing.Input{
		CommonName:   d.String("common_name", ""),
		AltNames:     d.Strings("alt_names"),
		IPSANs:       d.Strings("ip_sans"),
		URISANs:      d.Strings("uri_sans"),
		OtherSANs:    d.Strings("other_sans"),
		UserIDs:      d.Strings("user_ids"),
		SerialNumber: d.String("serial_number", ""),
		ExcludeCN:    d.Bool("exclude_cn_from_sans", false),
		TTL:          d.Duration("ttl", 0),
		NotAfter:     d.String("not_after", ""),
	}
}
