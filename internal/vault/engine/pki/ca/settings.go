package ca

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
)

func readIssuersConfig(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	s, err := authority.LoadSettings(ctx, tx)
	if err != nil {
		return nil, err
	}
	return showIssuersConfig(s), nil
}

func showIssuersConfig(s *authority.Settings) *engine.Response {
	return &engine.Response{Data: engine.NewObject().Str("default", s.Default).Bool("default_follows_latest_issuer", s.Follow).Value()}
}

func (h *handlers) writeIssuersConfig(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return h.setDefault(ctx, tx, req, "")
}

// replaceRoot makes another issuer the default: by default "next", as root/rotate calls it.
func (h *handlers) replaceRoot(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return h.setDefault(ctx, tx, req, "next")
}

func (h *handlers) setDefault(ctx context.Context, tx engine.Tx, req *engine.Request, def string) (*engine.Response, error) {
	d := req.Decode()
	ref := d.String("default", def)
	follow := d.Bool("default_follows_latest_issuer", false)
	if err := d.Err(); err != nil {
		return nil, err
	}
	var issuer *string
	if ref != "" {
		issuer = &ref
	}
	var following *bool
	if d.Has("default_follows_latest_issuer") {
		following = &follow
	}
	if issuer == nil && following == nil {
		return nil, errs.New(errs.Invalid, "no default given: name an issuer by its ID or name")
	}
	if ref == authority.Default {
		return nil, errs.New(errs.Invalid, `default must be the ID or name of an issuer, not "default" itself`)
	}
	c, err := authority.Begin(ctx, tx, h.cfg.Random)
	if err != nil {
		return nil, err
	}
	if err := c.SetDefaults(issuer, nil, following); err != nil {
		return nil, err
	}
	res := showIssuersConfig(c.Settings())
	if i, err := c.Issuer(c.Settings().Default); err == nil && i.KeyID == "" {
		res.Warnings = []string{"This selected default issuer has no key associated with it. Some operations like issuing certificates and signing CRLs will be unavailable with the requested default issuer until a key is imported or the default issuer is changed."}
	}
	return res, c.Done()
}

func readKeysConfig(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	s, err := authority.LoadSettings(ctx, tx)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObject().Str("default", s.DefaultKey).Value()}, nil
}

func (h *handlers) writeKeysConfig(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	ref := d.String("default", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	if ref == "" || ref == authority.Default {
		return nil, errs.New(errs.Invalid, "default must be the ID or name of a key")
	}
	c, err := authority.Begin(ctx, tx, h.cfg.Random)
	if err != nil {
		return nil, err
	}
	if err := c.SetDefaults(nil, &ref, nil); err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObject().Str("default", c.Settings().DefaultKey).Value()}, c.Done()
}

func showURLs(u *authority.URLs) *engine.Response {
	return &engine.Response{Data: engine.NewObject().
		Strs("crl_distribution_points", u.CRL).
		Strs("delta_crl_distribution_points", u.DeltaCRL).
		Bool("enable_templating", u.Templating).
		Strs("issuing_certificates", u.Issuing).
		Strs("ocsp_servers", u.OCSP).Value()}
}

func readURLs(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	u, err := authority.LoadURLs(ctx, tx)
	if err != nil {
		return nil, err
	}
	return showURLs(u), nil
}

func writeURLs(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	old, err := authority.LoadURLs(ctx, tx)
	if err != nil {
		return nil, err
	}
	u := *old
	d := req.Decode()
	if err := setURLs(&d, &u, "enable_templating"); err != nil {
		return nil, err
	}
	return showURLs(&u), authority.StoreURLs(tx, &u)
}

func showCluster(c *authority.Cluster) *engine.Response {
	return &engine.Response{Data: engine.NewObject().Str("aia_path", c.AIAPath).Str("path", c.Path).Value()}
}

func readCluster(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	c, err := authority.LoadCluster(ctx, tx)
	if err != nil {
		return nil, err
	}
	return showCluster(c), nil
}

func writeCluster(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	old, err := authority.LoadCluster(ctx, tx)
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	c := &authority.Cluster{Path: d.String("path", old.Path), AIAPath: d.String("aia_path", old.AIAPath)}
	if err := d.Err(); err != nil {
		return nil, err
	}
	for _, path := range []string{c.Path, c.AIAPath} {
		if path == "" {
			continue
		}
		if err := authority.CheckURLs([]string{path}, false); err != nil {
			return nil, errs.New(errs.Invalid, "path and aia_path must be absolute URLs, such as https://vault.example.com/v1/pki")
		}
	}
	return showCluster(c), authority.StoreCluster(tx, c)
}
