package relay

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// unsure is a member that does not know what became of a transaction.
type unsure struct {
	etcdserverpb.UnimplementedKVServer
	etcdserverpb.UnimplementedClusterServer
	code  codes.Code
	asked atomic.Int32
}

func (u *unsure) Txn(context.Context, *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	u.asked.Add(1)
	return nil, status.Error(u.code, "not known")
}

func (*unsure) MemberList(context.Context, *etcdserverpb.MemberListRequest) (*etcdserverpb.MemberListResponse, error) {
	return &etcdserverpb.MemberListResponse{}, nil
}

// A write is sent once, also if another member gives these answers: by the client's own rule it would be repeated, and
// refused for what it wrote itself.
func TestWritesOnce(t *testing.T) {
	for _, code := range []codes.Code{codes.Canceled, codes.DeadlineExceeded} {
		t.Run(code.String(), func(t *testing.T) {
			member := &unsure{code: code}
			server := grpc.NewServer()
			etcdserverpb.RegisterKVServer(server, member)
			etcdserverpb.RegisterClusterServer(server, member)
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go func() { _ = server.Serve(l) }()
			t.Cleanup(server.Stop)
			r := New(Config{
				TLS: new(tls.Config), Log: slog.New(slog.DiscardHandler),
				Fit:   func(context.Context, string) bool { return true },
				Among: func([]*etcdserverpb.Member) bool { return true },
			})
			t.Cleanup(r.Close)
			r.try("http://" + l.Addr().String())
			if at, _ := r.Way(); at == "" {
				t.Fatal("it is not taken for a member")
			}
			if err := write(r); err == nil {
				t.Error("an outcome that nobody knows is told as a success")
			}
			if n := member.asked.Load(); n != 1 {
				t.Errorf("it is sent %d times", n)
			}
		})
	}
}
