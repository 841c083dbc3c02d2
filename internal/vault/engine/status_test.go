package engine_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

func TestWithStatus(t *testing.T) {
	cause := errs.New(errs.Conflict, "turn 3 is not the present one")
	err := fmt.Errorf("acting: %w", engine.WithStatus(cause, 409))
	if engine.StatusOf(err) != 409 || !errors.Is(err, cause) || !errs.Is(err, errs.Conflict) || err.Error() != "acting: turn 3 is not the present one" {
		t.Errorf("%d, %v", engine.StatusOf(err), err)
	}
	if engine.WithStatus(nil, 409) != nil || engine.StatusOf(cause) != 0 || engine.StatusOf(nil) != 0 {
		t.Error("what is not marked has a status")
	}
}
