package conform

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"maps"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	v2 "k8s.io/kms/apis/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Client is a connection to a plugin, as an API server makes it.
type Client struct {
	conn *grpc.ClientConn
	kms  v2.KeyManagementServiceClient
}

// Dial makes a client for the socket at a path. It connects when it is used.
func Dial(socket string) (*Client, error) {
	path, err := filepath.Abs(socket)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "socket %q: %w", socket, err)
	}
	conn, err := grpc.NewClient("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "socket %q: %w", socket, err)
	}
	return &Client{conn: conn, kms: v2.NewKeyManagementServiceClient(conn)}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Status asks for the plugin's state.
func (c *Client) Status(ctx context.Context) (*v2.StatusResponse, error) {
	answer, err := c.kms.Status(ctx, &v2.StatusRequest{})
	return answer, classify("Status", err)
}

// Encrypt has plain wrapped.
func (c *Client) Encrypt(ctx context.Context, plain []byte) (*v2.EncryptResponse, error) {
	answer, err := c.kms.Encrypt(ctx, &v2.EncryptRequest{Plaintext: plain, Uid: uid()})
	return answer, classify("Encrypt", err)
}

// Decrypt gives back what Encrypt answered.
func (c *Client) Decrypt(ctx context.Context, sealed *v2.EncryptResponse) ([]byte, error) {
	answer, err := c.kms.Decrypt(ctx, &v2.DecryptRequest{
		Ciphertext: sealed.GetCiphertext(), KeyId: sealed.GetKeyId(), Annotations: maps.Clone(sealed.GetAnnotations()), Uid: uid(),
	})
	return answer.GetPlaintext(), classify("Decrypt", err)
}

func uid() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// classify gives an answer of gRPC the kind that has its code.
func classify(method string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return errs.Newf(errs.Unavailable, "%s: no answer in time", method)
	}
	s := status.Convert(err)
	if s.Code() == codes.Unknown { // an error that the plugin gave no code
		return errs.Newf(errs.Internal, "%s: %s: %s", method, s.Code(), s.Message())
	}
	for _, kind := range []errs.Kind{errs.Invalid, errs.NotExist, errs.Denied, errs.Unauthenticated, errs.Conflict, errs.TooLarge, errs.Exhausted, errs.Unsupported, errs.Internal} {
		if kind.GRPCCode() == uint32(s.Code()) {
			return errs.Newf(kind, "%s: %s: %s", method, s.Code(), s.Message())
		}
	}
	return errs.Newf(errs.Unavailable, "%s: %s: %s", method, s.Code(), s.Message())
}
