package session

import (
	"context"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// ReadData returns the data at a path, empty if there is none, and tells of warnings.
func (s *Session) ReadData(ctx context.Context, path string) (map[string]any, error) {
	client, err := s.Client()
	if err != nil {
		return nil, err
	}
	answer, err := client.Logical().ReadWithContext(ctx, path)
	if err != nil {
		return nil, err
	}
	if answer != nil {
		s.Warn(answer.Warnings)
	}
	return Data(answer)
}

// RefuseWrapping is for commands that change something and need the answer
// themselves: they say so before there is anything to be wrapped. Kind Invalid.
func (s *Session) RefuseWrapping() error {
	if seconds, err := Seconds("-wrap-ttl", First(s.Conn.WrapTTL, s.Env.Lookup("WRAP_TTL"))); err != nil || seconds > 0 {
		return errWrapped
	}
	return nil
}

var errWrapped = errs.New(errs.Invalid, "this command reads the answer itself and cannot have it wrapped: drop -wrap-ttl (VAULT_WRAP_TTL), or use read, list or write")

// Data is the data of an answer, empty if there is none. Kind Invalid: it is
// wrapped, which a command that shows answers in its own way cannot use.
func Data(answer *vault.Secret) (map[string]any, error) {
	switch {
	case answer == nil:
		return map[string]any{}, nil
	case answer.WrapInfo != nil:
		return nil, errWrapped
	case answer.Data == nil:
		return map[string]any{}, nil
	}
	return answer.Data, nil
}

// WritePath writes fields to a path and shows warnings.
func (s *Session) WritePath(ctx context.Context, path string, body map[string]any) error {
	client, err := s.Client()
	if err != nil {
		return err
	}
	answer, err := client.Logical().WriteWithContext(ctx, path, body)
	if answer != nil {
		s.Warn(answer.Warnings)
	}
	return err
}

// DeletePath deletes what is at a path.
func (s *Session) DeletePath(ctx context.Context, path string) error {
	client, err := s.Client()
	if err != nil {
		return err
	}
	_, err = client.Logical().DeleteWithContext(ctx, path)
	return err
}
