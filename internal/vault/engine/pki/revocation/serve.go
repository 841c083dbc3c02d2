package revocation

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/keypair"
)

const (
	typeCRL = "application/pkix-crl"
	typePEM = "application/x-pem-file"
)

// fetch reads the CRL of the issuer that the path names, or of the default one.
// nil: there is none.
func fetch(ctx context.Context, tx engine.Tx, req *engine.Request, delta bool) ([]byte, error) {
	s, err := authority.LoadSettings(ctx, tx)
	if err != nil {
		return nil, err
	}
	ref := req.Params["ref"]
	if ref == "" && s.Default == "" {
		return nil, nil
	}
	i, err := authority.Load(ctx, tx, ref)
	if errs.Is(err, errs.Invalid) {
		err = errs.As(errs.NotExist, err)
	}
	if err != nil {
		return nil, err
	}
	l, err := loadLists(ctx, tx, i.Authority)
	if err != nil {
		return nil, err
	}
	if delta {
		if l.Delta.Number < l.Complete.Number { // of an older base
			return nil, nil
		}
		return l.Delta.der(ctx, tx, i.Authority)
	}
	return l.Complete.der(ctx, tx, i.Authority)
}

// serve answers with the CRL itself.
func serve(delta, pem bool) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		der, err := fetch(ctx, tx, req, delta)
		if err != nil {
			return nil, err
		}
		raw := &engine.Raw{Status: 200, ContentType: typeCRL, Body: der}
		switch {
		case der == nil:
			raw.Status = 204
		case pem:
			raw.ContentType, raw.Body = typePEM, []byte(keypair.PEM("X509 CRL", der)+"\n")
		}
		return &engine.Response{Raw: raw}, nil
	}
}

// enveloped answers with the CRL in JSON.
func enveloped(field string, delta bool) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		der, err := fetch(ctx, tx, req, delta)
		if err != nil || der == nil {
			return nil, err
		}
		o := engine.NewObjectSize(2*len(der)).Str(field, keypair.PEM("X509 CRL", der))
		if field == "certificate" {
			o = o.Int("revocation_time", 0).Str("revocation_time_rfc3339", "")
		}
		return &engine.Response{Data: o.Value()}, nil
	}
}

// rotate builds all CRLs now, or all delta CRLs.
func (h *handlers) rotate(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	if err := markAll(ctx, tx, req.ID); err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObject().Bool("success", true).Value(), After: h.builder.Force}, nil
}

func (h *handlers) rotateDelta(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	c, err := loadConfig(ctx, tx)
	if err != nil {
		return nil, err
	}
	if !c.EnableDelta {
		return nil, errs.New(errs.Invalid, "Delta CRLs are not enabled: set enable_delta and auto_rebuild in config/crl")
	}
	return &engine.Response{Data: engine.NewObject().Bool("success", true).Value(), After: h.builder.ForceDelta}, nil
}
