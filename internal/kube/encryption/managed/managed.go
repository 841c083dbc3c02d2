package managed

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// largest bounds an answer, in bytes.
const largest = 4 << 20

// Cloud is one that runs API servers.
type Cloud string

// The clouds.
const (
	EKS Cloud = "eks"
	GKE Cloud = "gke"
	AKS Cloud = "aks"
)

// said is what a cloud says.
type said struct {
	cluster string
	on      bool
	detail  string
}

// Judge reads the answer of "aws eks describe-cluster", "gcloud container clusters
// describe --format=json" or "az aks show". place is its name for people. Kinds: Invalid
// (it is something else), TooLarge.
func Judge(cloud Cloud, place string, answer []byte) (*stored.Report, error) {
	if len(answer) > largest {
		return nil, errs.Newf(errs.TooLarge, "%s: it is over %d MiB, and no answer about a cluster is", place, largest>>20)
	}
	readers := map[Cloud]func([]byte) (said, bool){EKS: eks, GKE: gke, AKS: aks}
	s, ok := readers[cloud](answer)
	if !ok || s.cluster == "" {
		return nil, errs.Newf(errs.Invalid, "%s: this is not what the command line of the cloud (%s) says of one cluster in JSON: docs/encryption.md has the command", place, cloud)
	}
	a := stored.Answer{Question: "does the cloud say that Secrets are encrypted before they are stored?", Answer: stored.No, Detail: s.detail}
	if s.on {
		a.Answer = stored.Yes
	}
	return &stored.Report{
		Origin: stored.Origin{Source: place + ": what " + string(cloud) + " says of cluster " + s.cluster},
		Answers: []stored.Answer{
			{Question: "is every value encrypted?", Answer: stored.NotChecked, Detail: "what a cloud says is of what is written, and nobody has looked at what is there: strongkeep encryption verify -by-metrics"},
			a,
		},
	}, nil
}

func eks(answer []byte) (said, bool) {
	var is struct {
		Cluster struct {
			Name   string `json:"name"`
			Config []struct {
				Resources []string `json:"resources"`
				Provider  struct {
					Key string `json:"keyArn"`
				} `json:"provider"`
			} `json:"encryptionConfig"`
		} `json:"cluster"`
	}
	ok := json.Unmarshal(answer, &is) == nil
	s := said{cluster: is.Cluster.Name, detail: "encryptionConfig names no key for secrets; from Kubernetes 1.28 on AWS says that it encrypts with a key of its own, which is not told here"}
	for _, c := range is.Cluster.Config {
		if slices.Contains(c.Resources, "secrets") && c.Provider.Key != "" {
			s.on, s.detail = true, "under "+c.Provider.Key
		}
	}
	return s, ok
}

func gke(answer []byte) (said, bool) {
	var is struct {
		Name string `json:"name"`
		Link string `json:"selfLink"`
		Of   struct {
			State   string `json:"state"`
			Current string `json:"currentState"`
			Key     string `json:"keyName"`
		} `json:"databaseEncryption"`
	}
	ok := json.Unmarshal(answer, &is) == nil && strings.Contains(is.Link, "/clusters/")
	s := said{cluster: is.Name, detail: "databaseEncryption.state is " + orNone(is.Of.State) + ", currentState " + orNone(is.Of.Current)}
	// The state is what was asked for; the current one is what is there.
	if is.Of.State == "ENCRYPTED" && is.Of.Key != "" && (is.Of.Current == "CURRENT_STATE_ENCRYPTED" || is.Of.Current == "") {
		s.on, s.detail = true, "under "+is.Of.Key+", "+s.detail
	}
	return s, ok
}

func aks(answer []byte) (said, bool) {
	var is struct {
		Name string `json:"name"`
		Type string `json:"type"`
		Of   struct {
			KMS struct {
				Enabled bool   `json:"enabled"`
				Key     string `json:"keyId"`
			} `json:"azureKeyVaultKms"`
		} `json:"securityProfile"`
	}
	ok := json.Unmarshal(answer, &is) == nil && strings.EqualFold(is.Type, "Microsoft.ContainerService/ManagedClusters")
	s := said{cluster: is.Name, detail: "securityProfile.azureKeyVaultKms is not enabled, or names no key"}
	if is.Of.KMS.Enabled && is.Of.KMS.Key != "" {
		s.on, s.detail = true, "under "+is.Of.KMS.Key
	}
	return s, ok
}

func orNone(state string) string {
	if state == "" {
		return "not told"
	}
	return state
}
