package kms

import (
	"context"
	"net"

	"google.golang.org/grpc"
	v2 "k8s.io/kms/apis/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// empty answers at once, with as much as a plugin does.
type empty struct {
	v2.UnimplementedKeyManagementServiceServer
}

// Status implements v2.KeyManagementServiceServer.
func (empty) Status(context.Context, *v2.StatusRequest) (*v2.StatusResponse, error) {
	return &v2.StatusResponse{Version: "v2", Healthz: "ok", KeyId: "sk1-0123456789abcdef0123456789abcdef"}, nil
}

// ServeEmpty serves a plugin that does nothing at a socket until ctx ends: what gRPC
// and the machine cost.
func ServeEmpty(ctx context.Context, socket string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return errs.Newf(errs.Unavailable, "listening: %w", err)
	}
	s := grpc.NewServer()
	v2.RegisterKeyManagementServiceServer(s, empty{})
	defer context.AfterFunc(ctx, s.Stop)()
	if err := s.Serve(l); err != nil {
		return errs.Newf(errs.Unavailable, "serving: %w", err)
	}
	return nil
}
