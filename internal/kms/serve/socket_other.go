//go:build !unix

package serve

import (
	"context"
	"net"

	"github.com/strongkeep/strongkeep/internal/errs"
)

type socket struct{ net.Listener }

func listen(context.Context, string, string) (*socket, error) {
	return nil, errs.New(errs.Unsupported, "a KMS plugin runs beside an API server, on Linux")
}

// CheckDirectory is for Unix.
func CheckDirectory(string) error {
	return errs.New(errs.Unsupported, "a KMS plugin runs beside an API server, on Linux")
}
