package fleet

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Balance is what stands before several servers, as a Service of Kubernetes does: it takes
// connections at the address that it returns and gives each to the next node that takes it.
func Balance(t testing.TB, nodes []*Node) (address string) {
	t.Helper()
	address = Address(t)
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{nodes: nodes}
	var all sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		b.conns.Range(func(c, _ any) bool { _ = c.(net.Conn).Close(); return true })
		all.Wait()
	})
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // the test has ended
			}
			all.Go(func() { b.carry(client) })
		}
	})
	return address
}

type balancer struct {
	nodes []*Node
	next  atomic.Int64
	conns sync.Map // net.Conn, to end
}

func (b *balancer) carry(client net.Conn) {
	b.conns.Store(client, nil)
	defer func() { _ = client.Close(); b.conns.Delete(client) }()
	for range b.nodes {
		node, err := net.Dial("tcp", b.nodes[int(b.next.Add(1))%len(b.nodes)].Address)
		if err != nil {
			continue // it is down
		}
		var up sync.WaitGroup
		up.Go(func() { _, _ = io.Copy(node, client); _ = node.(*net.TCPConn).CloseWrite() })
		_, _ = io.Copy(client, node)
		_, _ = client.Close(), node.Close()
		up.Wait()
		return
	}
}
