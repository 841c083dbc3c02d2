package serve

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	v2 "k8s.io/kms/apis/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kms"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// apiVersion is what Status says the protocol is.
const apiVersion = "v2"

// callTimeout bounds a call whose caller gave no deadline; API servers do.
const callTimeout = 10 * time.Second

// service is the wire of a plugin.
type service struct {
	v2.UnsafeKeyManagementServiceServer
	plugin *kms.Plugin
}

// Status never says that something is wrong in healthz: API servers go on writing
// with a good key id beside it. It is an error of the call.
func (s service) Status(context.Context, *v2.StatusRequest) (*v2.StatusResponse, error) {
	id, err := s.plugin.Status()
	if err != nil {
		return nil, err
	}
	return &v2.StatusResponse{Version: apiVersion, Healthz: "ok", KeyId: id}, nil
}

// Encrypt implements v2.KeyManagementServiceServer.
func (s service) Encrypt(ctx context.Context, req *v2.EncryptRequest) (*v2.EncryptResponse, error) {
	sealed, err := s.plugin.Encrypt(ctx, redact.New(req.GetPlaintext()))
	if err != nil {
		return nil, err
	}
	return &v2.EncryptResponse{Ciphertext: sealed.Ciphertext, KeyId: sealed.KeyID, Annotations: sealed.Annotations}, nil
}

// Decrypt implements v2.KeyManagementServiceServer.
func (s service) Decrypt(ctx context.Context, req *v2.DecryptRequest) (*v2.DecryptResponse, error) {
	plain, err := s.plugin.Decrypt(ctx, kms.Sealed{Ciphertext: req.GetCiphertext(), KeyID: req.GetKeyId(), Annotations: req.GetAnnotations()})
	if err != nil {
		return nil, err
	}
	return &v2.DecryptResponse{Plaintext: plain.Reveal()}, nil
}

// around is what happens to every call: a deadline, a panic caught, an error in the
// protocol's words, a measurement and a line in the log. No request is in any of them.
func around(m *metrics, log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (answer any, err error) {
		if _, has := ctx.Deadline(); !has {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, callTimeout)
			defer cancel()
		}
		begun := time.Now()
		defer func() {
			if p := recover(); p != nil {
				err = errs.Panicked(p)
			}
			code := codes.OK
			if err != nil {
				code = codes.Code(errs.KindOf(err).GRPCCode())
				log.WarnContext(ctx, "a call of an API server was refused", "method", info.FullMethod, "uid", uid(req), "code", code.String(), "error", err)
				answer, err = nil, status.Error(code, text(err))
			}
			m.observe(info.FullMethod, code, time.Since(begun))
		}()
		return handle(ctx, req)
	}
}

// text is what an API server hears, and may log or show: not what broke in us.
func text(err error) string {
	if errs.Is(err, errs.Internal) {
		return "internal error: the plugin's log has more"
	}
	return err.Error()
}

// uid is what an API server calls a request.
func uid(req any) string {
	r, ok := req.(interface{ GetUid() string })
	if !ok {
		return ""
	}
	return r.GetUid()[:min(len(r.GetUid()), 64)]
}
