package kubernetes

import (
	"net/netip"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// A stateless login leaves nothing in the vault: the pod gets a batch token, which
// carries its own entry, so that a thousand pods make neither a thousand leases
// nor a thousand writes. Nobody can revoke a batch token by itself; it is
// bound to the pod instead:
//
//   - the ServiceAccount's token that bought it must be bound to a pod, which the
//     API server has confirmed to exist at that moment;
//   - it ends no later than that token, which the kubelet renews every hour;
//   - it may be used only from the address it was bought from, the pod's own.
//
// It ends at once, with all others, when the auth mount is disabled, and can do
// nothing more when its policies are emptied.

// checkStateless refuses what a batch token cannot be.
func (r *role) checkStateless() error {
	switch {
	case !r.Stateless:
		return nil
	case r.Type == "service":
		return errs.New(errs.Invalid, "stateless logins get batch tokens: leave token_type at default or set it to batch")
	case r.NumUses != 0 || r.Period != 0 || r.ExplicitMaxTTL != 0:
		return errs.New(errs.Invalid, "stateless logins get batch tokens, which have no token_num_uses, token_period or token_explicit_max_ttl")
	}
	return nil
}

// bind makes the token of a login one of the pod that c names. Kind Denied: the
// token that was shown is bound to no pod, or ends too soon.
// It lives for standard where the role does not say, and never longer than the jwt.
func (c *claims) bind(a *engine.Auth, req *engine.Request, standard time.Duration) error {
	pod := c.Bound.Pod
	if pod.UID == "" || pod.Name == "" || c.Expires == 0 {
		return errs.New(errs.Denied, "permission denied: this role is stateless, and the jwt is not bound to a pod: use the token of a projected volume, not that of a Secret or of kubectl create token")
	}
	left := time.Unix(int64(c.Expires), 0).Sub(req.Time).Truncate(time.Second)
	if left < time.Second {
		return errs.New(errs.Denied, "permission denied: the jwt has expired: read the projected token anew, the kubelet renews it in place")
	}
	p := &a.Params
	p.Type = engine.TokenBatch
	if p.TTL == 0 {
		p.TTL = standard
	}
	if p.TTL == 0 || p.TTL > left {
		p.TTL = left
	}
	if p.MaxTTL == 0 || p.MaxTTL > left {
		p.MaxTTL = left
	}
	if from := req.Remote.Unmap(); from.IsValid() {
		p.BoundCIDRs = []netip.Prefix{netip.PrefixFrom(from.WithZone(""), from.BitLen())}
	}
	a.Renewable = false
	a.Metadata["pod_name"], a.Metadata["pod_uid"] = pod.Name, pod.UID
	if c.Bound.Node.Name != "" {
		a.Metadata["node_name"] = c.Bound.Node.Name
	}
	return nil
}
