package file

import "io"

// stream writes lines to standard output. There is nothing to sync: who
// collects the output is responsible for keeping it.
type stream struct {
	w    io.Writer
	torn bool // the last write ended within a line
}

// Target returns "standard output".
func (*stream) Target() string { return "standard output" }

// Write writes lines, after ending a line that an earlier failure cut short.
func (s *stream) Write(lines []byte) error {
	if s.torn {
		if _, err := s.w.Write([]byte("\n")); err != nil {
			return reason("", err)
		}
		s.torn = false
	}
	n, err := s.w.Write(lines)
	s.torn = n > 0 && lines[n-1] != '\n'
	return reason("", err)
}

// Reload does nothing: there is nothing to open.
func (*stream) Reload() error { return nil }

// Close does nothing: standard output belongs to the program.
func (*stream) Close() error { return nil }
