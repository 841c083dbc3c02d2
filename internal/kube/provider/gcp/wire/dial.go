package wire

import (
	"crypto/tls"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
)

// maxAnswer bounds an answer: a page of secrets with their annotations, or a message.
const maxAnswer = 12 << 20

// Dial returns a connection to a service of Google, made when first needed. Tokens go
// over it, so it is TLS, or to this machine, which only the operator's environment can
// say: endpoint is what its variable env holds, "" for Google's own host.
func Dial(host, env, endpoint string) (*grpc.ClientConn, error) {
	target, security := host+":443", credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	if endpoint != "" {
		u, err := login.Endpoint(env, endpoint)
		if err != nil {
			return nil, err
		}
		target = u.Host
		if u.Scheme == "http" {
			security = insecure.NewCredentials()
		} else if u.Port() == "" {
			target += ":443"
		}
	}
	conn, err := grpc.NewClient("dns:///"+target,
		grpc.WithTransportCredentials(security),
		grpc.WithUserAgent("strongkeep"),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithConnectParams(grpc.ConnectParams{ // an outage is over for us soon after it is over
			Backoff: backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second}, MinConnectTimeout: 10 * time.Second,
		}))
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making a client of %s: %w", host, err)
	}
	return conn, nil
}
