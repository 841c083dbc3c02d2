package witness

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Config is what a witness needs.
type Config struct {
	Kubeconfig string // empty: the pod's ServiceAccount
	Listen     string // ":8443" when empty
	Pods       string // the kubelet's folder; /var/lib/kubelet/pods when empty
	Node       string // its name
	// Pod is the witness's own. Operator is the ServiceAccount that may ask, in its
	// namespace; strongkeep-system/strongkeep-operator when empty.
	Pod      types.NamespacedName
	Operator types.NamespacedName
	Log      *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.Listen == "" {
		c.Listen = ":8443"
	}
	if c.Pods == "" {
		c.Pods = "/var/lib/kubelet/pods"
	}
	if c.Operator == (types.NamespacedName{}) {
		c.Operator = types.NamespacedName{Namespace: "strongkeep-system", Name: "strongkeep-operator"}
	}
	switch {
	case c.Node == "":
		return c, errs.New(errs.Invalid, "which node is this? Set --node (NODE_NAME)")
	case c.Pod.Name == "" || c.Pod.Namespace == "":
		return c, errs.New(errs.Invalid, "which pod is this? Set --pod and --pod-namespace (POD_NAME, POD_NAMESPACE)")
	case c.Operator.Name == "" || c.Operator.Namespace == "":
		return c, errs.New(errs.Invalid, "who may ask? Set --operator to NAMESPACE/SERVICEACCOUNT")
	}
	return c, nil
}

// Run serves until ctx ends. It publishes the pin once it listens.
func Run(ctx context.Context, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	client, err := connect(cfg.Kubeconfig)
	if err != nil {
		return err
	}
	reader, err := OpenReader(cfg.Pods)
	if err != nil {
		return errs.Newf(errs.Invalid, "opening %s: %w: mount the node's folder there", cfg.Pods, err)
	}
	defer func() { _ = reader.Close() }()
	identity, err := NewIdentity(time.Now())
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return errs.Newf(errs.Unavailable, "listening on %s: %w", cfg.Listen, err)
	}
	user := "system:serviceaccount:" + cfg.Operator.Namespace + ":" + cfg.Operator.Name
	server := &http.Server{
		Handler:   NewServer(reader, NewReview(client, clock.RealClock{}), cfg.Node, user, cfg.Log),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{identity.Certificate}, MinVersion: tls.VersionTLS13},
		// One question is small, and its answer a second's work.
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 30 * time.Second,
		MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	err = identity.Publish(ctx, client, cfg.Pod)
	if err == nil {
		cfg.Log.Info("the witness answers", "node", cfg.Node, "address", listener.Addr().String(), "pin", identity.Pin, "operator", user)
		select {
		case <-ctx.Done():
		case err = <-served:
			return errs.Newf(errs.Unavailable, "serving: %w", err)
		}
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if stopped := server.Shutdown(stop); stopped != nil {
		_ = server.Close()
	}
	if ended := <-served; err == nil && !errors.Is(ended, http.ErrServerClosed) {
		err = errs.Newf(errs.Unavailable, "serving: %w", ended)
	}
	return err
}

func connect(kubeconfig string) (kubernetes.Interface, error) {
	cfg, err := rest.InClusterConfig()
	if kubeconfig != "" {
		cfg, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "finding the API server: %w", err)
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "making a client of the API server: %w", err)
	}
	return client, nil
}
