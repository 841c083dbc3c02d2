// Package port chooses where the servers of a test listen: addresses that stay
// theirs from the choice to the use, and from a kill to the restart, whatever
// else runs on the machine.
//
// Only tests import it. Start reading at Free.
package port

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
)

// Ports are taken from [first, end): above those of clusters (test/cluster/slot)
// and below those that Linux gives to clients and to who asks for any port.
const first, end = 21000, 32768

// Host is an address of loopback that no other process chooses.
func Host() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1" // others have no more
	}
	pid := os.Getpid()
	return net.IPv4(127, byte(64+pid>>16), byte(pid>>8), byte(pid)).String()
}

var given sync.Map // port to struct{}: what a server that is down now has is not given again

// Free returns a port on which nobody listens, on any of the hosts, and which
// this process has not been given before.
func Free(hosts ...string) (int, error) {
	var err error
	for range 1000 {
		port := first + rand.IntN(end-first)
		if err = listens(port, hosts); err != nil {
			continue
		}
		if _, taken := given.LoadOrStore(port, struct{}{}); !taken {
			return port, nil
		}
	}
	return 0, fmt.Errorf("finding a free port on %v: %w", hosts, err)
}

func listens(port int, hosts []string) error {
	for _, h := range hosts {
		l, err := net.Listen("tcp", net.JoinHostPort(h, strconv.Itoa(port)))
		if err != nil {
			return err
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}
