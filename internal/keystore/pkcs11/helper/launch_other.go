//go:build !linux

package helper

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func (s *Supervisor) spawn(context.Context, string) (*child, error) {
	return nil, errs.New(errs.Unsupported, "PKCS#11 modules are loaded on Linux only")
}

func trusted(_, path string) (string, error) { return path, nil }
