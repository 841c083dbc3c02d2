package settings

import (
	"net"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
)

// ParsePeers reads NAME=https://HOST:PORT, one for each member.
func ParsePeers(list []string) ([]member.Peer, error) {
	all := make([]member.Peer, 0, len(list))
	for _, item := range list {
		name, at, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok {
			return nil, errs.Newf(errs.Invalid, "a member of the cluster is NAME=https://HOST:PORT, not %.100q", item)
		}
		all = append(all, member.Peer{Name: name, URL: strings.TrimSuffix(at, "/")})
	}
	return all, nil
}

// SetPeers are the members that a StatefulSet makes: host is the name of one of its pods,
// size how many there are, service the headless Service that gives them names, port theirs.
func SetPeers(host string, size int, service, port string) ([]member.Peer, error) {
	set, ordinal, ok := cutLast(host, "-")
	if !ok || set == "" || ordinal == "" || strings.Trim(ordinal, "0123456789") != "" {
		return nil, errs.Newf(errs.Invalid, "the name %.100q is none of a StatefulSet's pod, such as strongkeep-0", host)
	}
	if size < 1 || size > member.MaxPeers {
		return nil, errs.Newf(errs.Invalid, "a cluster of %d members: use 1 to %d, and an odd number", size, member.MaxPeers)
	}
	all := make([]member.Peer, size)
	for i := range all {
		name := set + "-" + string(rune('0'+i))
		all[i] = member.Peer{Name: name, URL: "https://" + net.JoinHostPort(name+"."+service, port)}
	}
	return all, nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
