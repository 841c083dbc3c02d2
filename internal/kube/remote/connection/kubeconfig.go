package connection

import (
	"net/url"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Bounds of one connection.
const (
	callTimeout = 15 * time.Second // of one request, its answer included
	perSecond   = 50               // requests; perBurst at once
	perBurst    = 100
	maxFile     = 1 << 20 // of a kubeconfig, in bytes
)

// Kubeconfig reads a kubeconfig as somebody gave it whom the operator serves and
// does not trust with its own machine. No error quotes it.
func Kubeconfig(raw []byte) (*rest.Config, error) {
	if len(raw) > maxFile {
		return nil, errs.New(errs.TooLarge, "the kubeconfig is larger than 1 MiB")
	}
	file, err := clientcmd.Load(raw)
	if err != nil { // its text may quote what it could not read
		return nil, errs.New(errs.Invalid, "the kubeconfig is not one: make it by kubectl config view --raw --minify --flatten")
	}
	at, ok := file.Contexts[file.CurrentContext]
	if !ok {
		return nil, errs.New(errs.Invalid, "the kubeconfig has no current context: make it by kubectl config view --raw --minify --flatten")
	}
	server, ok := file.Clusters[at.Cluster]
	if !ok {
		return nil, errs.New(errs.Invalid, "the kubeconfig has no cluster for its current context")
	}
	user, ok := file.AuthInfos[at.AuthInfo]
	if !ok {
		return nil, errs.New(errs.Invalid, "the kubeconfig has no user for its current context")
	}
	if err := checkServer(server); err != nil {
		return nil, err
	}
	if err := checkUser(user); err != nil {
		return nil, err
	}
	return &rest.Config{
		Host: server.Server,
		TLSClientConfig: rest.TLSClientConfig{
			CAData: server.CertificateAuthorityData, ServerName: server.TLSServerName,
			CertData: user.ClientCertificateData, KeyData: user.ClientKeyData,
		},
		BearerToken: user.Token, Timeout: callTimeout, QPS: perSecond, Burst: perBurst,
		UserAgent: "strongkeep-operator",
	}, nil
}

func checkServer(c *clientcmdapi.Cluster) error {
	u, err := url.Parse(c.Server)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil:
		return errs.New(errs.Invalid, "the kubeconfig's server must be an https address without user and password")
	case c.InsecureSkipTLSVerify:
		return errs.New(errs.Invalid, "the kubeconfig has insecure-skip-tls-verify: put the authority of the server into certificate-authority-data")
	case c.CertificateAuthority != "":
		return errs.New(errs.Invalid, "the kubeconfig names a file, certificate-authority: put it in as certificate-authority-data (kubectl config view --raw --flatten)")
	case c.ProxyURL != "":
		return errs.New(errs.Unsupported, "the kubeconfig has a proxy-url: clusters behind a proxy are not reached")
	}
	return nil
}

func checkUser(u *clientcmdapi.AuthInfo) error {
	switch {
	case u.Exec != nil:
		return errs.New(errs.Invalid, "the kubeconfig runs a command to log in (exec), and the operator runs none: use a ServiceAccount's token or a client certificate")
	case u.AuthProvider != nil:
		return errs.New(errs.Unsupported, "the kubeconfig logs in by an auth-provider: use a ServiceAccount's token or a client certificate")
	case u.Username != "" || u.Password != "":
		return errs.New(errs.Unsupported, "the kubeconfig logs in by a password: use a ServiceAccount's token or a client certificate")
	case u.TokenFile != "" || u.ClientCertificate != "" || u.ClientKey != "":
		return errs.New(errs.Invalid, "the kubeconfig names files (tokenFile, client-certificate or client-key): put their content in (kubectl config view --raw --flatten)")
	case u.Impersonate != "" || u.ImpersonateUID != "" || len(u.ImpersonateGroups) > 0 || len(u.ImpersonateUserExtra) > 0:
		return errs.New(errs.Unsupported, "the kubeconfig impersonates (as): log in as who has the rights")
	}
	return checkLogin(u)
}

// checkLogin wants exactly what can be used: a token, or a whole client certificate.
func checkLogin(u *clientcmdapi.AuthInfo) error {
	switch {
	case u.Token == "" && len(u.ClientCertificateData) == 0:
		return errs.New(errs.Invalid, "the kubeconfig logs in by nothing: it needs a token, or client-certificate-data and client-key-data")
	case (len(u.ClientCertificateData) == 0) != (len(u.ClientKeyData) == 0):
		return errs.New(errs.Invalid, "the kubeconfig has one of client-certificate-data and client-key-data, and not the other")
	}
	return nil
}
