package kv

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// rollback writes an older version again. The latest version is the check of the
// write: what somebody else wrote meanwhile is not lost.
func (a *app) rollback() *cobra.Command {
	version := 0
	c := &cobra.Command{
		Use: "rollback PATH", Short: "Write an older version again, as the newest (version 2)", Args: session.Args(1, 1),
		Example: "  strongkeep kv rollback -version=2 secret/my-app/config",
		RunE: func(c *cobra.Command, given []string) error {
			if version < 1 {
				return errs.New(errs.Invalid, "say which version: -version=2")
			}
			if err := a.RefuseWrapping(); err != nil {
				return err
			}
			t, err := a.findV2(c, given[0])
			if err != nil {
				return err
			}
			current, err := a.current(c, t)
			if err != nil {
				return err
			}
			old, err := t.client.Logical().ReadWithDataWithContext(c.Context(), t.path("data"), map[string][]string{"version": {strconv.Itoa(version)}})
			if err != nil {
				return err
			}
			if old == nil || old.Data["data"] == nil {
				return errs.Newf(errs.NotExist, "version %d of %s is not there, deleted or destroyed; undelete brings back what is not destroyed", version, t.path("data"))
			}
			s, err := t.client.Logical().WriteWithContext(c.Context(), t.path("data"), map[string]any{
				"data": old.Data["data"], "options": map[string]any{"cas": current},
			})
			if err != nil {
				return err
			}
			return a.PrintSecret(s)
		},
	}
	c.Flags().IntVar(&version, "version", 0, "which version to write again")
	return c
}

// current is the number of the latest version, deleted or not. It comes from the
// data, for who may roll back may read that, and perhaps not the metadata.
func (a *app) current(c *cobra.Command, t *target) (any, error) {
	s, err := t.client.Logical().ReadWithContext(c.Context(), t.path("data"))
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, errs.Newf(errs.NotExist, "no value found at %s", t.path("data"))
	}
	metadata, _ := s.Data["metadata"].(map[string]any)
	return metadata["version"], nil
}
