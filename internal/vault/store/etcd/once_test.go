package etcd_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// silent answers transactions that etcd has made as if it did not know.
type silent struct {
	etcdserverpb.KVServer
	code  atomic.Uint32 // of the answer; 0 = etcd's own
	calls atomic.Int32  // while it was not 0
}

func (s *silent) Txn(ctx context.Context, r *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	made, err := s.KVServer.Txn(ctx, r)
	if code := codes.Code(s.code.Load()); code != codes.OK && err == nil {
		s.calls.Add(1)
		return nil, status.Error(code, "context "+code.String())
	}
	return made, err
}

// What a member of etcd has written, and says that it does not know of, is not sent again: its own write would
// refuse it.
func TestWritesOnce(t *testing.T) {
	server := etcdtest.Start(t, etcdtest.Options{})
	client := server.Dial(t)
	kv, _ := grpcproxy.NewKvProxy(client)
	watch, _ := grpcproxy.NewWatchProxy(t.Context(), zap.NewNop(), client)
	lease, _ := grpcproxy.NewLeaseProxy(t.Context(), client)
	between := &silent{KVServer: kv}
	proxy := grpc.NewServer()
	etcdserverpb.RegisterKVServer(proxy, between)
	etcdserverpb.RegisterWatchServer(proxy, watch)
	etcdserverpb.RegisterLeaseServer(proxy, lease)
	etcdserverpb.RegisterMaintenanceServer(proxy, grpcproxy.NewMaintenanceProxy(client))
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = proxy.Serve(l) }()
	t.Cleanup(proxy.Stop)
	cfg := server.Config()
	cfg.Endpoints = []string{"http://" + l.Addr().String()}
	s := open(t, cfg)
	for _, code := range []codes.Code{codes.Canceled, codes.DeadlineExceeded} {
		t.Run(code.String(), func(t *testing.T) {
			key := "once/" + code.String()
			between.calls.Store(0)
			between.code.Store(uint32(code))
			_, err := s.Apply(t.Context(), store.Put(key, []byte("v")).If(0))
			between.code.Store(0)
			wantKind(t, err, errs.Unavailable, "did not say whether it wrote")
			if n := between.calls.Load(); n != 1 {
				t.Errorf("it is sent %d times", n)
			}
			if v := get(t, s, key); v != "v" {
				t.Errorf("there is %q", v)
			}
		})
	}
}
