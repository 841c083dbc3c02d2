package unsealed

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/vault/format"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// keepFormat has this node keep to the format of raw, or not open it at all.
func (v *Vault) keepFormat(ctx context.Context, raw store.Store) (err error) {
	c := format.Config{Raw: raw, Program: v.cfg.Format, Hold: v.cfg.HoldFormat, Log: v.cfg.Log}
	if v.roster != nil {
		c.Nodes, c.Announce = v.formats, v.roster.Say
		c.Leading = func() bool { status, _ := v.Leader(); return status.Self }
	}
	v.format, err = format.Open(ctx, c)
	return err
}

// formats are the newest that each node that lives can read, as far as this one knows.
func (v *Vault) formats(ctx context.Context) ([]int, error) {
	if err := v.Current(); err != nil {
		return nil, err
	}
	all, err := v.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	var newest []int
	for _, n := range all {
		if n.Alive {
			newest = append(newest, n.Format)
		}
	}
	return newest, nil
}

// Format says in which format the store is written, and what this program can do.
func (v *Vault) Format() (format.Record, format.Program) {
	return v.format.Record(), v.cfg.Format
}
