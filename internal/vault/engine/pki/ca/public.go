package ca

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/wire"
)

// Media types, as Vault has them.
const (
	typeDER   = "application/pkix-cert"
	typeChain = "application/pem-certificate-chain"
)

// raw answers with public bytes.
func raw(kind, body string) *engine.Response {
	return &engine.Response{Raw: &engine.Raw{Status: 200, ContentType: kind, Body: []byte(body)}}
}

// defaultIssuer returns the default issuer, nil if there is none.
func defaultIssuer(ctx context.Context, tx engine.Tx) (*authority.Issuer, error) {
	s, err := authority.LoadSettings(ctx, tx)
	if err != nil || s.Default == "" {
		return nil, err
	}
	return authority.Load(ctx, tx, s.Default)
}

// public answers with the default issuer, 204 if there is none.
func public(answer func(context.Context, engine.Tx, *authority.Issuer) (*engine.Response, error)) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
		i, err := defaultIssuer(ctx, tx)
		if err != nil {
			return nil, err
		}
		if i == nil {
			return &engine.Response{Raw: &engine.Raw{Status: 204, ContentType: typeDER}}, nil
		}
		return answer(ctx, tx, i)
	}
}

// named answers with the issuer of the path.
func named(answer func(context.Context, engine.Tx, *authority.Issuer) (*engine.Response, error)) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		i, err := authority.Load(ctx, tx, req.Params["ref"])
		if errs.Is(err, errs.Invalid) {
			err = errs.As(errs.NotExist, err)
		}
		if err != nil {
			return nil, err
		}
		return answer(ctx, tx, i)
	}
}

func issuerDER(_ context.Context, _ engine.Tx, i *authority.Issuer) (*engine.Response, error) {
	return raw(typeDER, string(i.DER)), nil
}

func issuerPEM(_ context.Context, _ engine.Tx, i *authority.Issuer) (*engine.Response, error) {
	return raw(typeChain, i.PEM), nil
}

func issuerChain(ctx context.Context, tx engine.Tx, i *authority.Issuer) (*engine.Response, error) {
	chain, err := i.Above(ctx, tx)
	if err != nil {
		return nil, err
	}
	return raw(typeChain, strings.Join(wire.Format{}.Chain(chain), "\n")), nil
}

func issuerJSON(ctx context.Context, tx engine.Tx, i *authority.Issuer) (*engine.Response, error) {
	chain, err := i.Above(ctx, tx)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObjectSize(4096).
		Strs("ca_chain", wire.Format{}.Chain(chain)).Str("certificate", i.PEM).
		Str("issuer_id", i.ID).Str("issuer_name", i.Name).Value()}, nil
}

// certCA answers cert/ca and cert/ca_chain in the envelope of other certificates.
func certCA(ctx context.Context, tx engine.Tx, i *authority.Issuer) (*engine.Response, error) {
	return &engine.Response{Data: engine.NewObjectSize(4096).
		Str("certificate", i.PEM).Int("revocation_time", i.RevokedAt).Str("revocation_time_rfc3339", "").Value()}, nil
}

func certChain(ctx context.Context, tx engine.Tx, i *authority.Issuer) (*engine.Response, error) {
	chain, err := i.Above(ctx, tx)
	if err != nil {
		return nil, err
	}
	all := strings.Join(wire.Format{}.Chain(chain), "\n")
	return &engine.Response{Data: engine.NewObjectSize(8192).Str("ca_chain", all).Str("certificate", all).Value()}, nil
}
