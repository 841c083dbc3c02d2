package writer

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/push"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// MarkV1 is the part of a secret that has the mark with KV v1, which has no metadata;
// the External Secrets Operator has it there too. Nor has it conditional writes: what
// somebody else writes in the same instant may be lost.
const MarkV1 = "custom_metadata"

// lookV1 returns what is there without the mark; there is false when nothing is.
func (s *Writer) lookV1(ctx context.Context, key string) (data redact.Secret, there, managed bool, err error) {
	v, err := s.API.Read(ctx, provider.Request{Key: key})
	if errs.Is(err, errs.NotExist) {
		return redact.Secret{}, false, false, nil
	}
	if err != nil {
		return redact.Secret{}, false, false, err
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(v.Data.Reveal(), &object) != nil {
		return redact.Secret{}, true, false, errs.Newf(errs.Invalid, "%q is not a JSON object", key)
	}
	var tags map[string]string
	_ = json.Unmarshal(object[MarkV1], &tags) // what is not a mark is none
	if !push.Managed(tags) {
		return v.Data, true, false, nil
	}
	if len(object) == 1 {
		return redact.Secret{}, true, true, nil
	}
	data, err = push.Without(v.Data, MarkV1)
	return data, true, true, err
}

func (s *Writer) writeV1(ctx context.Context, path string, w provider.Write) error {
	if len(w.Metadata) > 0 && string(w.Metadata) != "null" {
		return errs.Newf(errs.Unsupported, "%q: KV v1 has no metadata: leave the PushSecret's metadata out", w.Key)
	}
	have, there, managed, err := s.lookV1(ctx, w.Key)
	switch {
	case err != nil:
		return err
	case there && !managed:
		return push.Foreign(w.Key)
	}
	data, err := s.merged(have, w)
	if err != nil || data.Equal(s.Canonical(have.Reveal())) && !have.Empty() {
		return err
	}
	return s.putV1(ctx, path, data)
}

func (s *Writer) putV1(ctx context.Context, path string, data redact.Secret) error {
	object := map[string]json.RawMessage{}
	if json.Unmarshal(data.Reveal(), &object) != nil {
		return errs.New(errs.Internal, "encoding a secret as JSON")
	}
	if _, taken := object[MarkV1]; taken {
		return errs.Newf(errs.Invalid, "the key %q is where KV v1 keeps the operator's mark: use another", MarkV1)
	}
	object[MarkV1] = json.RawMessage(`{"` + push.TagManaged + `":"` + push.Manager + `"}`)
	_, err := s.API.Call(ctx, http.MethodPost, path, object)
	return err
}

func (s *Writer) deleteV1(ctx context.Context, path string, at provider.Place) error {
	have, _, managed, err := s.lookV1(ctx, at.Key)
	if err != nil || !managed {
		return err
	}
	left := redact.Secret{}
	if at.Property != "" && !have.Empty() {
		if left, err = push.Without(have, at.Property); err != nil {
			return err
		}
	}
	switch {
	case left.Empty():
		_, err = s.API.Call(ctx, http.MethodDelete, path, nil)
		return err
	case left.Equal(have):
		return nil
	}
	return s.putV1(ctx, path, left)
}
