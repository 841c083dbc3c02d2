package webhook

import (
	"context"
	"net/http"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/push"
	"github.com/strongkeep/strongkeep/internal/kube/webhookcall"
)

// Write sends a value. Whether something of somebody else's is there only the endpoint
// knows: it answers 409 then.
func (s *store) Write(ctx context.Context, w provider.Write) error {
	if err := push.Metadata(w.Metadata, &struct{}{}); err != nil {
		return err
	}
	r, err := s.place(w.Place)
	if err != nil {
		return err
	}
	if _, taken := r.Values[w.Key]; taken {
		return errs.Newf(errs.Invalid, "remoteKey %q: by that name templates know something else: choose another", w.Key)
	}
	if err := s.whole(w.Place, "would take its place"); err != nil {
		return err
	}
	r.Usual, r.Hidden = http.MethodPost, map[string]string{w.Key: w.Value.RevealString()}
	r.Values["secretKey"] = w.Source.Key
	r.Body = "{{ index .remoteRef .remoteRef.remoteKey }}"
	_, err = s.endpoint.Do(ctx, r)
	switch {
	case errs.Is(err, errs.NotExist):
		return errs.Newf(errs.Invalid, "writing %q: %w where it is written to: check %surl", w.Key, err, prefix)
	case err != nil:
		return errs.Newf(errs.KindOf(err), "writing %q: %w", w.Key, err)
	}
	return nil
}

// place returns a request about a place.
func (s *store) place(at provider.Place) (webhookcall.Request, error) {
	if at.Key == "" {
		return webhookcall.Request{}, errs.New(errs.Invalid, "remoteKey is missing")
	}
	if key.MatchString(s.settings.URL) && !remoteKey.MatchString(s.settings.URL) {
		return webhookcall.Request{}, errs.New(errs.Unsupported, prefix+"url uses .remoteRef.key and not .remoteRef.remoteKey: this store is for reading; one of the two is empty, so a url may have both")
	}
	return s.request(map[string]string{"remoteKey": at.Key, "property": at.Property}), nil
}

// whole refuses what is meant for a part of a secret, of which the endpoint would not
// hear.
func (s *store) whole(at provider.Place, what string) error {
	if at.Property == "" || s.picks {
		return nil
	}
	return errs.Newf(errs.Unsupported, "remoteRef.property %q: no template of %s uses .remoteRef.property, so all of %q %s: leave property out, or use it in url", at.Property, prefix[:len(prefix)-1], at.Key, what)
}

// Delete sends DELETE to where the url says. 404 is no error.
func (s *store) Delete(ctx context.Context, at provider.Place) error {
	r, err := s.place(at)
	if err == nil {
		err = s.whole(at, "would be deleted")
	}
	if err != nil {
		return err
	}
	r.Method, r.NoBody = http.MethodDelete, true
	_, err = s.endpoint.Do(ctx, r)
	if err == nil || errs.Is(err, errs.NotExist) {
		return nil
	}
	return errs.Newf(errs.KindOf(err), "deleting %q: %w", at.Key, err)
}

// Exists reads.
func (s *store) Exists(ctx context.Context, at provider.Place) (bool, error) {
	v, err := s.Read(ctx, provider.Request{Key: at.Key, Property: at.Property})
	switch {
	case errs.Is(err, errs.NotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return v.Picked || push.Has(v.Data, at.Property), nil
}
