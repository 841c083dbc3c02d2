package engine

import "errors"

// WithStatus marks an error of a route that Vault does not have: the wire answers
// with this HTTP status, where that of the error's kind, which Vault's clients know
// for another thing, would tell a program too little. WithStatus(nil, s) is nil.
func WithStatus(err error, status int) error {
	if err == nil {
		return nil
	}
	return &statused{err, status}
}

// StatusOf returns the status that err was marked with; 0 = none.
func StatusOf(err error) int {
	var s *statused
	if errors.As(err, &s) {
		return s.status
	}
	return 0
}

type statused struct {
	err    error
	status int
}

func (s *statused) Error() string { return s.err.Error() }
func (s *statused) Unwrap() error { return s.err }
