package relay

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Protocol is that of etcd's clients, as it is agreed on in TLS.
const Protocol = "h2"

// pingEvery keeps connections from being idle for so long that the members' port ends them.
const pingEvery = 2 * time.Second

// Port serves etcd's clients on connections whose certificates were checked. Those that come
// while no etcd runs here are closed.
type Port struct {
	conns chan net.Conn
	ended chan struct{}

	mu     sync.Mutex
	server *grpc.Server // nil: none runs
	end    sync.Once
	done   sync.WaitGroup
}

// NewPort has no etcd yet.
func NewPort() *Port { return &Port{conns: make(chan net.Conn), ended: make(chan struct{})} }

// Serve begins to serve, once.
func (p *Port) Serve(s *etcdserver.EtcdServer) {
	server := v3rpc.Server(s, nil, nil, grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingEvery, Timeout: pingEvery}))
	p.mu.Lock()
	p.server = server
	p.mu.Unlock()
	p.done.Go(func() { _ = server.Serve(p) }) // until Stop
}

// Take serves a connection until its end; it is an entry of http.Server.TLSNextProto.
func (p *Port) Take(_ *http.Server, conn *tls.Conn, _ http.Handler) {
	p.mu.Lock()
	serves := p.server != nil
	p.mu.Unlock()
	if !serves {
		return // who called closes it
	}
	c := &taken{Conn: conn, closed: make(chan struct{})}
	select {
	case p.conns <- c:
		<-c.closed
	case <-p.ended:
	}
}

// Stop ends all calls, and serves nobody any more.
func (p *Port) Stop() {
	p.mu.Lock()
	server := p.server
	p.server = nil
	p.mu.Unlock()
	_ = p.Close()
	if server != nil {
		server.Stop()
	}
	p.done.Wait()
}

// Accept implements net.Listener, for gRPC.
func (p *Port) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *Port) Close() error {
	p.end.Do(func() { close(p.ended) })
	return nil
}

// Addr implements net.Listener.
func (p *Port) Addr() net.Addr { return &net.TCPAddr{} }

// taken tells when it is closed.
type taken struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

// Close implements net.Conn.
func (c *taken) Close() error {
	defer c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
