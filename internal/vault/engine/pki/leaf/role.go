package leaf

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/keypath"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/issuing"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/keypair"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

const roleFolder = "role/"

// load returns a role, nil if there is none. Shared.
func load(ctx context.Context, tx engine.Tx, name string) (*issuing.Role, error) {
	if err := keypath.Check(name); err != nil {
		return nil, err
	}
	e, err := tx.Get(ctx, roleFolder+name)
	if err != nil || !e.Exists() {
		return nil, err
	}
	return store.Decode(e, issuing.Decode)
}

// need returns a role that must be there.
func need(ctx context.Context, tx engine.Tx, name string) (*issuing.Role, error) {
	r, err := load(ctx, tx, name)
	if err == nil && r == nil {
		err = errs.Newf(errs.Invalid, "unknown role: %s", name)
	}
	return r, err
}

// fresh is what a role is before anybody said anything.
func fresh() *issuing.Role {
	return &issuing.Role{
		IssuerRef: authority.Default, AllowLocalhost: true, AllowWildcardCertificates: true, EnforceHostnames: true, AllowIPSANs: true,
		ServerFlag: true, ClientFlag: true, UseCSRCommonName: true, UseCSRSANs: true, KeyType: keypair.RSA, KeyUsage: issuing.DefaultKeyUsage(),
		RequireCN: true, CNValidations: []string{"email", "hostname"}, NotBeforeDuration: int64(issuing.DefaultNotBefore / time.Second),
		AllowedDomains: []string{}, ExtKeyUsage: []string{}, ExtKeyUsageOIDs: []string{}, OU: []string{}, Organization: []string{}, Country: []string{},
		Locality: []string{}, Province: []string{}, StreetAddress: []string{}, PostalCode: []string{}, AllowedOtherSANs: []string{},
		AllowedSerialNumbers: []string{}, AllowedUserIDs: []string{}, AllowedURISANs: []string{}, PolicyIdentifiers: []string{},
	}
}

// change reads the fields that are given into r.
func change(d *engine.Decoder, r *issuing.Role) error {
	for _, f := range lists(r) {
		if list := d.Strings(f.name); list != nil {
			*f.value = list
		}
	}
	for _, f := range flags(r) {
		*f.value = d.Bool(f.name, *f.value)
	}
	for _, f := range texts(r) {
		*f.value = d.String(f.name, *f.value)
	}
	seconds := func(name string, value *int64) {
		*value = int64(d.Duration(name, time.Duration(*value)*time.Second) / time.Second)
	}
	seconds("ttl", &r.TTL)
	seconds("max_ttl", &r.MaxTTL)
	seconds("not_before_duration", &r.NotBeforeDuration)
	r.KeyBits = int(d.Int("key_bits", int64(r.KeyBits)))
	r.SignatureBits = int(d.Int("signature_bits", int64(r.SignatureBits)))
	if err := d.Err(); err != nil {
		return err
	}
	for i, domain := range r.AllowedDomains {
		r.AllowedDomains[i] = issuing.CanonicalDomain(domain)
	}
	return nil
}

type list struct {
	name  string
	value *[]string
	help  string
}

func lists(r *issuing.Role) []list {
	return []list{
		{"allowed_domains", &r.AllowedDomains, "Domains whose names may be issued, as the allow_ flags say."},
		{"key_usage", &r.KeyUsage, "Key usages, such as DigitalSignature."},
		{"ext_key_usage", &r.ExtKeyUsage, "Extended key usages, such as ServerAuth, besides those of the flags."},
		{"ext_key_usage_oids", &r.ExtKeyUsageOIDs, "Extended key usages by object identifier."},
		{"ou", &r.OU, "Organizational units of the subject."},
		{"organization", &r.Organization, "organization (O) of the subject."},
		{"country", &r.Country, "Countries of the subject."},
		{"locality", &r.Locality, "Localities of the subject."},
		{"province", &r.Province, "Provinces of the subject."},
		{"street_address", &r.StreetAddress, "Street addresses of the subject."},
		{"postal_code", &r.PostalCode, "Postal codes of the subject."},
		{"cn_validations", &r.CNValidations, "What a common name may be: email, hostname, or disabled for anything."},
		{"allowed_other_sans", &r.AllowedOtherSANs, "Other names that may be asked for: OID;UTF8:glob, or * for any."},
		{"allowed_serial_numbers", &r.AllowedSerialNumbers, "Globs of serialNumbers of the subject."},
		{"allowed_user_ids", &r.AllowedUserIDs, "Globs of user IDs of the subject."},
		{"allowed_uri_sans", &r.AllowedURISANs, "Globs of URIs among the alternative names."},
		{"policy_identifiers", &r.PolicyIdentifiers, "Object identifiers of certificate policies."},
	}
}

type flag struct {
	name  string
	value *bool
	help  string
}

func flags(r *issuing.Role) []flag {
	return []flag{
		{"allow_localhost", &r.AllowLocalhost, "localhost may be asked for."},
		{"allowed_domains_template", &r.AllowedDomainsTemplate, "Not supported: must be false."},
		{"allow_bare_domains", &r.AllowBareDomains, "The allowed domains themselves may be asked for."},
		{"allow_subdomains", &r.AllowSubdomains, "Names below the allowed domains may be asked for."},
		{"allow_glob_domains", &r.AllowGlobDomains, "* in an allowed domain stands for any text."},
		{"allow_wildcard_certificates", &r.AllowWildcardCertificates, "Names that begin with *. may be asked for."},
		{"allow_any_name", &r.AllowAnyName, "Any name may be asked for."},
		{"enforce_hostnames", &r.EnforceHostnames, "Names must be host names, or the domains of email addresses be."},
		{"allow_ip_sans", &r.AllowIPSANs, "IP addresses may be asked for."},
		{"server_flag", &r.ServerFlag, "For servers."},
		{"client_flag", &r.ClientFlag, "For clients."},
		{"code_signing_flag", &r.CodeSigningFlag, "For signing code."},
		{"email_protection_flag", &r.EmailProtectionFlag, "For protecting email."},
		{"use_csr_common_name", &r.UseCSRCommonName, "Take the common name of a certificate request."},
		{"use_csr_sans", &r.UseCSRSANs, "Take the alternative names of a certificate request, and not those of the call."},
		{"use_pss", &r.UsePSS, "Sign with RSA-PSS, if the issuer's key is RSA."},
		{"generate_lease", &r.GenerateLease, "Certificates have leases; ending a lease revokes the certificate."},
		{"no_store", &r.NoStore, "Certificates are not kept."},
		{"require_cn", &r.RequireCN, "There must be a common name."},
		{"allowed_uri_sans_template", &r.AllowedURISANsTemplate, "{{identity.entity.id}} in allowed_uri_sans stands for the caller's entity."},
		{"basic_constraints_valid_for_non_ca", &r.BasicConstraintsNonCA, "Certificates say that they are no CA's."},
	}
}

type text struct {
	name  string
	value *string
	help  string
}

func texts(r *issuing.Role) []text {
	return []text{
		{"issuer_ref", &r.IssuerRef, "ID or name of the issuer, or default."},
		{"key_type", &r.KeyType, "rsa, ec, ed25519, or any, which signs requests only."},
		{"not_after", &r.NotAfter, "When all certificates end, in RFC 3339."},
	}
}

// entity is what allowed_uri_sans may have in it.
const entity = "{{identity.entity.id}}"

// check returns what is wrong with a role, and settles what it leaves open.
func check(r *issuing.Role, now time.Time) (warnings []string, err error) {
	if r.KeyBits, err = keypair.Check(r.KeyType, r.KeyBits); err != nil {
		return nil, err
	}
	if err := checkNumbers(r); err != nil {
		return nil, err
	}
	if r.IssuerRef == "" {
		r.IssuerRef = authority.Default
	}
	if err := checkLists(r); err != nil {
		return nil, err
	}
	if r.NotAfter != "" {
		if _, err := issuing.ParseNotAfter(r.NotAfter, now); err != nil {
			return nil, err
		}
	}
	if r.NoStore && r.GenerateLease {
		r.GenerateLease = false
		warnings = append(warnings, "mutually exclusive values no_store=true and generate_lease=true were both specified; no_store=true takes priority")
	}
	return warnings, nil
}

// capped holds lifetimes to the mount's, and says so: no certificate of the role
// could last longer, and what is shown should be what is meant.
func capped(r *issuing.Role, most time.Duration) (warnings []string) {
	limit := int64(most / time.Second)
	for _, f := range []struct {
		name  string
		value *int64
	}{{"max_ttl", &r.MaxTTL}, {"ttl", &r.TTL}} {
		if *f.value > limit {
			warnings = append(warnings, fmt.Sprintf("%s of %v is longer than the mount's max_lease_ttl of %v, which is taken instead: tune the mount, then write the role again",
				f.name, time.Duration(*f.value)*time.Second, most))
			*f.value = limit
		}
	}
	return warnings
}

func checkNumbers(r *issuing.Role) error {
	switch {
	case r.TTL < 0 || r.MaxTTL < 0 || r.NotBeforeDuration < 0:
		return errs.New(errs.Invalid, "ttl, max_ttl and not_before_duration must not be negative")
	case r.MaxTTL > 0 && r.TTL > r.MaxTTL:
		return errs.New(errs.Invalid, `"ttl" value must be less than "max_ttl" value`)
	case r.AllowedDomainsTemplate:
		return errs.New(errs.Invalid, "allowed_domains_template is not supported: make a role for each set of domains, or use allowed_uri_sans_template")
	case r.SignatureBits != 0 && r.SignatureBits != 256 && r.SignatureBits != 384 && r.SignatureBits != 512:
		return errs.New(errs.Invalid, "signature_bits must be 256, 384 or 512, or 0 for what suits the key")
	}
	return nil
}

func checkLists(r *issuing.Role) error {
	if _, err := issuing.KeyUsages(r.KeyUsage); err != nil {
		return err
	}
	if _, err := issuing.ExtKeyUsages(r.ExtKeyUsage); err != nil {
		return err
	}
	if _, err := issuing.Policies(r.PolicyIdentifiers); err != nil {
		return err
	}
	for _, oid := range r.ExtKeyUsageOIDs {
		if _, err := issuing.ParseOID(oid); err != nil {
			return err
		}
	}
	return checkNames(r)
}

func checkNames(r *issuing.Role) error {
	for _, other := range r.AllowedOtherSANs {
		if _, _, ok := issuing.SplitOther(other); !ok && other != "*" {
			return errs.New(errs.Invalid, "allowed_other_sans must be *, or of the form OID;UTF8:glob")
		}
	}
	if disabled := slices.Contains(r.CNValidations, "disabled"); disabled && len(r.CNValidations) > 1 || !disabled && !onlyKnown(r.CNValidations) {
		return errs.New(errs.Invalid, "cn_validations takes email and hostname, or disabled alone")
	}
	for _, u := range r.AllowedURISANs {
		if r.AllowedURISANsTemplate && strings.Contains(strings.ReplaceAll(u, entity, ""), "{{") {
			return errs.Newf(errs.Invalid, "a template in allowed_uri_sans may hold only %s", entity)
		}
	}
	return nil
}

// onlyKnown reports whether cn_validations has nothing but names of checks.
func onlyKnown(validations []string) bool {
	return !slices.ContainsFunc(validations, func(v string) bool { return v != "email" && v != "hostname" })
}

func (h *handlers) readRole(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	r, err := load(ctx, tx, req.Params["role"])
	if err != nil || r == nil {
		return nil, err
	}
	return show(r, nil)
}

func show(r *issuing.Role, warnings []string) (*engine.Response, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding a role: %w", err)
	}
	return &engine.Response{Data: data, Warnings: warnings}, nil
}

// writeRole replaces a role; patchRole changes what is given.
func (h *handlers) writeRole(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	if err := keypath.Check(req.Params["role"]); err != nil {
		return nil, err
	}
	return h.storeRole(ctx, tx, req, fresh())
}

func (h *handlers) patchRole(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	old, err := load(ctx, tx, req.Params["role"])
	if err != nil {
		return nil, err
	}
	if old == nil {
		return nil, errs.Newf(errs.NotExist, "unable to fetch role entry to patch: there is no role %s", req.Params["role"])
	}
	r := *old
	r.AllowedDomains = append([]string{}, old.AllowedDomains...)
	return h.storeRole(ctx, tx, req, &r)
}

func (h *handlers) storeRole(_ context.Context, tx engine.Tx, req *engine.Request, r *issuing.Role) (*engine.Response, error) {
	d := req.Decode()
	if err := change(&d, r); err != nil {
		return nil, err
	}
	warnings, err := check(r, req.Time)
	if err != nil {
		return nil, err
	}
	warnings = append(warnings, capped(r, h.cfg.TTL().Max)...)
	res, err := show(r, warnings)
	if err != nil {
		return nil, err
	}
	tx.Put(roleFolder+req.Params["role"], res.Data)
	tx.Emit(engine.Event{Type: "pki/role-write", Path: req.Path, Metadata: map[string]string{"name": req.Params["role"], "operation": "role-write"}})
	return res, nil
}

func (h *handlers) deleteRole(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	if err := keypath.Check(req.Params["role"]); err != nil {
		return nil, err
	}
	tx.Delete(roleFolder + req.Params["role"])
	tx.Emit(engine.Event{Type: "pki/role-delete", Path: req.Path, Metadata: map[string]string{"name": req.Params["role"], "operation": "role-delete"}})
	return nil, nil
}

func (h *handlers) listRoles(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return keypath.List(ctx, tx, roleFolder, req)
}
