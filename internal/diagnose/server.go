package diagnose

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxSkew is by how much two clocks may differ.
const maxSkew = 2 * time.Second

// server asks the one that runs, if one does.
func (v *visit) server(ctx context.Context) {
	const question = "a server answers"
	if v.cfg.Address == "" {
		v.add(question, Unknown, "no address is given", "strongkeep operator diagnose -address=https://HOST:8200 …")
		return
	}
	began := time.Now()
	answer, body, err := v.ask(ctx, "sys/health?uninitcode=200&sealedcode=200&behindcode=200")
	if err != nil {
		v.add(question, Unknown, err.Error(), "start it, or give its -address and -ca-cert, if one runs")
		return
	}
	var health struct {
		Initialized, Sealed bool
		Version             string
		Now                 int64 `json:"server_time_utc"`
	}
	if answer.StatusCode != http.StatusOK || json.Unmarshal(body, &health) != nil {
		v.add(question, Failed, fmt.Sprintf("%s answers %s, and not as a vault does", v.cfg.Address, answer.Status), "look at what listens there: curl "+v.cfg.Address+"/v1/sys/health")
		return
	}
	v.runs = true
	v.ok(question, "%s, version %s, in %v", v.cfg.Address, health.Version, time.Since(began).Round(time.Millisecond))
	switch {
	case !health.Initialized:
		v.add("the vault is open", Warning, "it is not initialised", "strongkeep operator init")
	case health.Sealed:
		v.add("the vault is open", Failed, "it is sealed", "strongkeep operator unseal, and look into its log for why it did not open by itself")
	default:
		v.ok("the vault is open", "it is unsealed")
	}
	v.inTouch(ctx, health.Initialized && !health.Sealed)
	if skew := time.Unix(health.Now, 0).Sub(v.cfg.Now()).Abs(); skew > maxSkew {
		v.add("its clock agrees with this one", Warning, fmt.Sprintf("they are %v apart", skew.Round(time.Second)), "timedatectl, here and there")
	} else {
		v.ok("its clock agrees with this one", "they are less than %v apart", maxSkew)
	}
	v.presents()
	v.metrics(ctx)
}

// inTouch looks whether an open vault answers requests: one that has lost touch with its store
// refuses them all.
func (v *visit) inTouch(ctx context.Context, open bool) {
	if !open {
		return
	}
	const question = "it is in touch with its store"
	switch answer, _, err := v.ask(ctx, "sys/health"); {
	case err != nil:
		v.add(question, Unknown, err.Error(), "run this again")
	case answer.StatusCode != http.StatusOK:
		v.add(question, Failed, "it is not, and refuses requests until it is: too few of the nodes or of etcd run, or see each other", "start those that are down; if their disks are gone for good: docs/operations/cluster.md, The majority is gone for good")
	default:
		v.ok(question, "it is")
	}
}

// ask reads an answer of the server, 8 MiB at most.
func (v *visit) ask(ctx context.Context, path string) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(v.cfg.Address, "/")+"/v1/"+path, nil)
	if err != nil {
		return nil, nil, err
	}
	if v.cfg.Token != "" {
		req.Header.Set("X-Vault-Token", v.cfg.Token)
	}
	req.Header.Set("X-Vault-Request", "true")
	answer, err := v.cfg.Client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.TLS != nil && len(answer.TLS.PeerCertificates) > 0 && v.leaf == nil {
		v.leaf = answer.TLS.PeerCertificates[0]
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, 8<<20))
	return answer, body, err
}

// presents looks at the certificate that the server shows.
func (v *visit) presents() {
	if v.leaf != nil {
		v.lasts("the certificate that it shows lasts", "the one of "+v.cfg.Address, v.leaf)
	}
}

// metrics says what the server counts, if the token may read it.
func (v *visit) metrics(ctx context.Context) {
	const question = "it says how it is"
	answer, body, err := v.ask(ctx, "sys/metrics?format=prometheus")
	if err != nil || answer.StatusCode != http.StatusOK {
		detail := "its metrics could not be read"
		if answer != nil {
			detail += ": " + answer.Status
		}
		v.add(question, Unknown, detail, "give a token whose policy has read on sys/metrics")
		return
	}
	values := samples(string(body))
	if values["strongkeep_leases_held"] == 1 {
		v.add("leases end when they should", Warning, "they are held: nothing expires, is revoked or rotated by itself", "strongkeep lease resume, once nothing else uses what they stand for")
	} else {
		v.ok("leases end when they should", "they are not held")
	}
	if n := values["strongkeep_leases_irrevocable"]; n > 0 {
		v.add("leases can be ended", Warning, fmt.Sprintf("%.0f could not be, in many attempts", n), "strongkeep lease irrevocable")
	} else {
		v.ok("leases can be ended", "none is stuck")
	}
	failing := ""
	for name, value := range values {
		if strings.HasPrefix(name, "strongkeep_audit_failing{") && value == 1 {
			failing = strings.TrimPrefix(name, "strongkeep_audit_failing")
		}
	}
	if failing != "" {
		v.add("audit devices take lines", Failed, "one cannot be written: "+failing, "make room, or disable it: strongkeep audit disable PATH")
	} else {
		v.ok("audit devices take lines", "none says that it cannot be written")
	}
	v.format(values)
	v.quota(values)
}

// format says which versions may use the store.
func (v *visit) format(values map[string]float64) {
	written, reader, newest := values[`strongkeep_store_format{what="written"}`], values[`strongkeep_store_format{what="reader"}`], values[`strongkeep_store_format{what="newest"}`]
	const question = "the newest format of the store is in use"
	switch {
	case written == 0:
		v.add(question, Unknown, "the server does not tell", "")
	case written < newest:
		v.add(question, Warning, fmt.Sprintf("format %.0f is written, and %.0f could be: the version before may still come back", written, newest), "upgrade the other nodes, then take out hold_format (docs/operations/upgrades.md)")
	default:
		v.ok(question, "format %.0f, for versions that read %.0f", written, reader)
	}
}

// samples are the values in the text format of Prometheus, by name and labels.
func samples(text string) map[string]float64 {
	all := map[string]float64{}
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if i <= 0 || line[0] == '#' {
			continue
		}
		var value float64
		if _, err := fmt.Sscan(line[i+1:], &value); err == nil {
			all[line[:i]] = value
		}
	}
	return all
}
