package etcd

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// failure gives an error of etcd's its kind. Whatever does not say that nothing
// was written is Unavailable, which leaves that open.
func failure(doing string, err error) error {
	switch {
	case is(err, rpctypes.ErrRequestTooLarge):
		return errs.Newf(errs.TooLarge, "%s: the transaction is over etcd's limit; start etcd with a larger --max-request-bytes: %w", doing, err)
	case is(err, rpctypes.ErrTooManyOps):
		return errs.Newf(errs.Unavailable, "%s: a member of etcd takes too few operations in a transaction; %s: %w", doing, moreOps, err)
	case is(err, rpctypes.ErrNoSpace):
		return errs.Newf(errs.Unavailable, "%s: etcd is out of space and takes no writes; compact and defragment it, then disarm its alarm: %w", doing, err)
	case is(err, rpctypes.ErrPermissionDenied):
		return errs.Newf(errs.Unavailable, "%s: etcd does not let its user read and write below the key prefix; grant it: %w", doing, err)
	case errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded:
		return errs.Newf(errs.Unavailable, "%s: etcd did not answer in time: %w", doing, err)
	default:
		return errs.Newf(errs.Unavailable, "%s: %w", doing, err)
	}
}

// is compares by etcd's own code and text, in which its errors come over the wire.
func is(err, want error) bool { return errors.Is(rpctypes.Error(err), want) }

// tooLong reports whether a member refused a message for its length.
func tooLong(err error) bool {
	return err != nil && (is(err, rpctypes.ErrRequestTooLarge) || status.Code(err) == codes.ResourceExhausted)
}

func errClosed() error { return errs.New(errs.Unavailable, "the store is closed") }
