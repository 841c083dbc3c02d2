package certificate

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/shelf"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// pool are certificates, each once.
type pool []*x509.Certificate

// has reports whether all of others are in p; false for none.
func (p pool) has(others pool) bool {
	for _, o := range others {
		if !slices.ContainsFunc(p, o.Equal) {
			return false
		}
	}
	return len(others) > 0
}

// with returns p with more in it.
func (p pool) with(more ...*x509.Certificate) pool {
	out := slices.Clone(p)
	for _, m := range more {
		if !out.has(pool{m}) {
			out = append(out, m)
		}
	}
	return out
}

func (p pool) pem() string {
	var out strings.Builder
	for _, c := range p {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return out.String()
}

// authorities are those of ca.crt.
func authorities(values shelf.Values) pool {
	text, err := values.Text(propertyCA)
	if err != nil {
		return nil
	}
	return pool{}.with(certificates(text)...)
}

// parse is authorities of a bundle, which must be one where there is any.
func parse(values shelf.Values) (pool, error) {
	all := authorities(values)
	if _, there := values[propertyCA]; there && len(all) == 0 {
		return nil, errs.Newf(errs.Invalid, "the bundle's %q holds no certificate in PEM: mend or remove it", propertyCA)
	}
	return all, nil
}

// bundle is the path of the authorities that clients trust. Its owner, the one
// credential whose Rotation changes it, is remembered beside it: else one
// Rotation would take away the authority of another's certificate.
type bundle struct{ at, owner shelf.Beside }

func newBundle(s *shelf.Shelf, path string) (*bundle, error) {
	at, err := s.Beside(path, false)
	if err != nil {
		return nil, err
	}
	owner, err := s.Beside(path, true)
	return &bundle{at, owner}, err
}

// claim makes path the owner, unless another is.
func (b *bundle) claim(ctx context.Context, path string) error {
	page, err := b.owner.Read(ctx)
	if err != nil {
		return err
	}
	if has, err := page.Values.Text("owner"); err == nil {
		if has != path {
			return errs.Newf(errs.Invalid, "the bundle %q is that of the certificate at %q: give each certificate a bundle of its own, or delete %q when that one is not turned any more", b.at.At(), has, b.owner.At())
		}
		return nil
	}
	return b.owner.Write(ctx, page, shelf.Values{"owner": shelf.Text(redact.FromString(path))})
}

// extend puts authorities into the bundle. extended: wanted was not in it. since
// is when the bundle became what it is.
func (b *bundle) extend(ctx context.Context, wanted, also pool) (extended bool, since time.Time, err error) {
	page, err := b.at.Read(ctx)
	if err != nil {
		return false, since, err
	}
	has, err := parse(page.Values)
	if err != nil {
		return false, since, err
	}
	extended = len(wanted) > 0 && !has.has(wanted)
	next := has.with(also...).with(wanted...)
	if len(next) == len(has) {
		return extended, page.Created, nil
	}
	if err := b.write(ctx, page, next); err != nil {
		return false, since, err
	}
	page, err = b.at.Read(ctx)
	return extended, page.Created, err
}

// prune takes away the authorities gone, but those that stay.
func (b *bundle) prune(ctx context.Context, gone, stay pool) error {
	page, err := b.at.Read(ctx)
	if err != nil {
		return err
	}
	has, err := parse(page.Values)
	if err != nil {
		return err
	}
	next := slices.DeleteFunc(slices.Clone(has), func(c *x509.Certificate) bool { return gone.has(pool{c}) && !stay.has(pool{c}) })
	if len(next) == len(has) || len(next) == 0 {
		return nil
	}
	return b.write(ctx, page, next)
}

// write keeps the other properties of the bundle as they are.
func (b *bundle) write(ctx context.Context, over shelf.Page, next pool) error {
	values := shelf.Values{}
	for property, value := range over.Values {
		values[property] = value
	}
	values[propertyCA] = shelf.Text(redact.FromString(next.pem()))
	return b.at.Write(ctx, over, values)
}
