package etcd

import (
	"context"
	"encoding/json"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// formatShared is the layout of a prefix that several processes write to. But for meta/owner, which
// has no lease then, it is that of one owner: the number is for versions that know of no others, and
// would write without looking.
const formatShared = "2"

// sharedID is the ID of the Holder that stands for all processes of a shared prefix.
const sharedID = "shared"

// share makes the prefix one that several processes write to, for good. It waits for an owner to be
// gone, as claim does. Kind Unavailable: one lives.
func share(ctx context.Context, s *Store) error {
	return s.await(ctx, func() (string, error) { return s.tryShare(ctx) })
}

// tryShare returns who owns the prefix, "" if it is shared.
func (s *Store) tryShare(ctx context.Context) (holder string, err error) {
	ctx, finish, err := s.begin(ctx)
	if err != nil {
		return "", err
	}
	defer finish()
	all, err := json.Marshal(Holder{ID: sharedID, Host: "several servers", Since: time.Now().UTC()})
	if err != nil {
		return "", err
	}
	// All of it in one commit: who looked at the format before finds an owner, and an owner that was
	// cut off finds that another term began.
	r, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(s.keys.owner), "=", 0)).
		Then(clientv3.OpPut(s.keys.owner, string(all)), clientv3.OpPut(s.keys.format, formatShared), clientv3.OpPut(s.keys.term, "")).
		Else(clientv3.OpGet(s.keys.owner)).Commit()
	if err != nil {
		return "", failure("sharing the prefix", err)
	}
	if r.Succeeded {
		return "", nil
	}
	var h Holder
	kvs := r.Responses[0].GetResponseRange().GetKvs()
	if len(kvs) != 1 || json.Unmarshal(kvs[0].Value, &h) != nil {
		return "one that is not known", nil
	}
	if h.ID == sharedID {
		return "", nil
	}
	return h.String(), nil
}

// fits returns an error if a store of the layout found cannot be opened as cfg says.
func (c *Config) fits(found string) error {
	switch {
	case found == format, found == formatShared && !c.Exclusive:
		return nil
	case found == formatShared:
		return errs.Newf(errs.Invalid, "the store below %q in etcd is one that several servers use: start this one with ha_enabled too; one server alone can use it like that as well", c.Prefix)
	}
	return errs.Newf(errs.Unsupported, "the store below %q in etcd has the layout %.16q, this version of strongkeep knows %s and %s; use the newer one", c.Prefix, found, format, formatShared)
}
