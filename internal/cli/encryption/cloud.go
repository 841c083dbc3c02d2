package encryption

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/managed"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// cloudFlags are how people give what a cloud says of a cluster.
type cloudFlags struct{ eks, gke, aks string }

func (f *cloudFlags) add(c *cobra.Command) {
	to := c.Flags()
	to.StringVar(&f.eks, "eks-cluster", "", "file of: aws eks describe-cluster --name NAME --output json")
	to.StringVar(&f.gke, "gke-cluster", "", "file of: gcloud container clusters describe NAME --format=json")
	to.StringVar(&f.aks, "aks-cluster", "", "file of: az aks show --name NAME --resource-group GROUP --output json")
}

// judge returns what the file that was given says, nil without one.
func (f *cloudFlags) judge() (*stored.Report, error) {
	for cloud, path := range map[managed.Cloud]string{managed.EKS: f.eks, managed.GKE: f.gke, managed.AKS: f.aks} {
		if path == "" {
			continue
		}
		if len(f.eks)+len(f.gke)+len(f.aks) > len(path) {
			return nil, errs.New(errs.Invalid, "a cluster is of one cloud: give one of -eks-cluster, -gke-cluster and -aks-cluster")
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "reading what the cloud says: %w", err)
		}
		return managed.Judge(cloud, path, text)
	}
	return nil, nil
}
