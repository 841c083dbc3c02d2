package control

import (
	"net"
	"strconv"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster/kubeconfig"
	"github.com/strongkeep/strongkeep/test/cluster/pki"
)

const (
	// Issuer is the issuer of ServiceAccount tokens.
	Issuer = "https://kubernetes.default.svc"

	controllerUser = "system:kube-controller-manager"
	schedulerUser  = "system:kube-scheduler"
)

// issue writes all certificates and kubeconfigs and returns the pair that the
// API server and etcd serve with.
func (p *Plane) issue() (pki.Pair, error) {
	var err error
	if p.Authority, err = pki.New(p.config.Dir, time.Now()); err != nil {
		return pki.Pair{}, err
	}
	serving, err := p.Authority.Issue(pki.Request{
		Name: "server", CommonName: "kube-apiserver",
		Hosts: []string{
			"localhost", "127.0.0.1", p.config.Address.String(), p.config.Services.Addr().Next().String(),
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		},
	})
	if err != nil {
		return serving, err
	}
	if p.EtcdClient, err = p.Authority.Issue(pki.Request{Name: "etcd-client", CommonName: "etcd-client"}); err != nil {
		return serving, err
	}
	if _, err = p.Authority.Issue(pki.Request{Name: "service-account", CommonName: "service-account"}); err != nil {
		return serving, err
	}
	_, err = p.Authority.Issue(pki.Request{
		Name: "kubelet-client", CommonName: "kube-apiserver-kubelet-client", Groups: []string{"system:masters"},
	})
	if err != nil {
		return serving, err
	}
	admin, err := p.Authority.Issue(pki.Request{
		Name: "admin", CommonName: "admin", Groups: []string{"system:masters"},
	})
	if err != nil {
		return serving, err
	}
	url := "https://" + net.JoinHostPort(p.config.Address.String(), strconv.Itoa(p.config.Port))
	if p.Client, err = newClient(url, p.Authority.Cert, admin); err != nil {
		return serving, err
	}
	if p.etcdHealth, err = newClient(p.EtcdURL, p.Authority.Cert, p.EtcdClient); err != nil {
		return serving, err
	}
	for name, user := range map[string]string{"controller-manager": controllerUser, "scheduler": schedulerUser} {
		if _, err = p.IssueKubeconfig(pki.Request{Name: name, CommonName: user}); err != nil {
			return serving, err
		}
	}
	p.Kubeconfig = p.path("admin.kubeconfig")
	return serving, p.writeKubeconfig(p.Kubeconfig, admin)
}

// IssueKubeconfig makes a certificate and a kubeconfig with it, whose path it
// returns.
func (p *Plane) IssueKubeconfig(r pki.Request) (string, error) {
	pair, err := p.Authority.Issue(r)
	if err != nil {
		return "", err
	}
	path := p.path(r.Name + ".kubeconfig")
	return path, p.writeKubeconfig(path, pair)
}

func (p *Plane) writeKubeconfig(path string, pair pki.Pair) error {
	return kubeconfig.Write(path, kubeconfig.Config{
		Server: p.URL, CAFile: p.Authority.Cert, CertFile: pair.Cert, KeyFile: pair.Key,
	})
}

func (p *Plane) etcdFlags(serving pki.Pair) []string {
	peer := "https://127.0.0.1:" + strconv.Itoa(p.config.PeerPort)
	return []string{
		"--data-dir=" + p.path("etcd"),
		// Nothing here is to survive a crash of the machine.
		"--unsafe-no-fsync",
		"--listen-client-urls=" + p.EtcdURL,
		"--advertise-client-urls=" + p.EtcdURL,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
		"--cert-file=" + serving.Cert,
		"--key-file=" + serving.Key,
		"--trusted-ca-file=" + p.Authority.Cert,
		"--client-cert-auth",
		"--peer-cert-file=" + serving.Cert,
		"--peer-key-file=" + serving.Key,
		"--peer-trusted-ca-file=" + p.Authority.Cert,
		"--peer-client-cert-auth",
		"--log-level=warn",
	}
}

func (p *Plane) apiFlags(serving pki.Pair) []string {
	flags := []string{
		"--etcd-servers=" + p.EtcdURL,
		"--etcd-cafile=" + p.Authority.Cert,
		"--etcd-certfile=" + p.EtcdClient.Cert,
		"--etcd-keyfile=" + p.EtcdClient.Key,
		"--bind-address=" + p.config.Address.String(),
		"--advertise-address=" + p.config.Address.String(),
		"--secure-port=" + strconv.Itoa(p.config.Port),
		"--tls-cert-file=" + serving.Cert,
		"--tls-private-key-file=" + serving.Key,
		"--client-ca-file=" + p.Authority.Cert,
		"--service-account-key-file=" + p.path("service-account.key"),
		"--service-account-signing-key-file=" + p.path("service-account.key"),
		"--service-account-issuer=" + Issuer,
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--service-cluster-ip-range=" + p.config.Services.String(),
		"--allow-privileged=true",
		// The node's name resolves nowhere; logs and exec need its address.
		"--kubelet-preferred-address-types=InternalIP",
		"--kubelet-certificate-authority=" + p.Authority.Cert,
		"--kubelet-client-certificate=" + p.path("kubelet-client.crt"),
		"--kubelet-client-key=" + p.path("kubelet-client.key"),
	}
	if p.config.Address.IsLoopback() {
		// The API server refuses to publish a loopback address as its Service.
		flags = append(flags, "--endpoint-reconciler-type=none")
	}
	return flags
}

func (p *Plane) controllerFlags() []string {
	return []string{
		"--kubeconfig=" + p.path("controller-manager.kubeconfig"),
		"--leader-elect=false",
		"--secure-port=0",
		"--service-account-private-key-file=" + p.path("service-account.key"),
		"--root-ca-file=" + p.Authority.Cert,
		"--use-service-account-credentials",
		// A node that is heard of late, on a machine that does other things, is not
		// away: its pods stay ready.
		"--node-monitor-grace-period=10m",
		"--cluster-signing-cert-file=" + p.Authority.Cert,
		"--cluster-signing-key-file=" + p.Authority.Key,
		"--allocate-node-cidrs=false",
		// The default waits for its own rate limit most of the start.
		"--kube-api-qps=1000",
		"--kube-api-burst=1000",
		// The default is a directory of the host, which it would make.
		"--flex-volume-plugin-dir=" + p.path("flexvolume"),
		// A node's taint for not being ready goes when this notices that it is.
		"--node-monitor-period=500ms",
	}
}

func (p *Plane) schedulerFlags() []string {
	return []string{
		"--kubeconfig=" + p.path("scheduler.kubeconfig"),
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=1000",
		"--kube-api-burst=1000",
	}
}
