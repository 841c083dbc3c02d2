package session

// Local marks an error of what a command reads and writes itself, such as a store: no server is to blame, and
// Explain leaves it as it is.
type Local struct{ Err error }

func (l Local) Error() string { return l.Err.Error() }

// Unwrap has it count as what it is.
func (l Local) Unwrap() error { return l.Err }
