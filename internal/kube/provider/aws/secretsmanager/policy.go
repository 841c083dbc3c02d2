package secretsmanager

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/access"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// ResourcePolicy is who else may use a secret. Without Source it has no policy.
type ResourcePolicy struct {
	// BlockPublic has AWS refuse a policy that lets everybody in; nil: as AWS does.
	BlockPublic *bool         `json:"blockPublicPolicy,omitempty"`
	Source      *PolicySource `json:"policySourceRef,omitempty"`
}

// PolicySource is where the policy stands, beside the PushSecret. Who writes has its
// text (provider.Write.Document).
type PolicySource struct {
	Kind string `json:"kind"` // ConfigMap or Secret
	Name string `json:"name"`
	Key  string `json:"key"`
}

// maxPolicy is Secrets Manager's limit, in bytes.
const maxPolicy = 20480

// check reads the policy, of which nothing is in an error: it may be in a Secret.
func (p *ResourcePolicy) check(text redact.Secret) error {
	if p == nil || p.Source == nil {
		return nil
	}
	var object map[string]any
	switch {
	case text.Len() > maxPolicy:
		return errs.Newf(errs.TooLarge, "resourcePolicy of the PushSecret's metadata has %d bytes: Secrets Manager takes %d", text.Len(), maxPolicy)
	case json.Unmarshal(text.Reveal(), &object) != nil, len(object) == 0:
		return errs.Newf(errs.Invalid, "key %q of %s %q, which resourcePolicy of the PushSecret's metadata names, is no policy: it must be a JSON object", p.Source.Key, p.Source.Kind, p.Source.Name)
	}
	return nil
}

// restrict gives the secret the policy that is wanted, if it has another. A PushSecret
// that says nothing of policies leaves it as it is: it may be others'.
func (c *secret) restrict(ctx context.Context) error {
	wanted := c.metadata.ResourcePolicy
	if wanted == nil {
		return nil
	}
	now, err := access.Do(ctx, c.store.cfg.Access, fmt.Sprintf("reading the resource policy of %q", c.name),
		func(ctx context.Context) (*sm.GetResourcePolicyOutput, error) {
			return c.store.client.GetResourcePolicy(ctx, &sm.GetResourcePolicyInput{SecretId: &c.name})
		})
	if err != nil {
		return err
	}
	has := aws.ToString(now.ResourcePolicy)
	switch {
	case wanted.Source == nil && has == "":
		return nil
	case wanted.Source != nil && same(has, c.policy) && !aws.ToBool(wanted.BlockPublic): // else AWS looks at what is there
		return nil
	case wanted.Source == nil:
		_, err = access.Do(ctx, c.store.cfg.Access, fmt.Sprintf("deleting the resource policy of %q", c.name),
			func(ctx context.Context) (*sm.DeleteResourcePolicyOutput, error) {
				return c.store.client.DeleteResourcePolicy(ctx, &sm.DeleteResourcePolicyInput{SecretId: &c.name})
			})
		return err
	}
	_, err = access.Do(ctx, c.store.cfg.Access, fmt.Sprintf("setting the resource policy of %q", c.name),
		func(ctx context.Context) (*sm.PutResourcePolicyOutput, error) {
			return c.store.client.PutResourcePolicy(ctx, &sm.PutResourcePolicyInput{
				SecretId: &c.name, ResourcePolicy: aws.String(c.policy.RevealString()), BlockPublicPolicy: wanted.BlockPublic,
			})
		})
	return err
}

// same reports whether a policy says what another does, however it is written.
func same(has string, wanted redact.Secret) bool {
	var a, b any
	return json.Unmarshal([]byte(has), &a) == nil && json.Unmarshal(wanted.Reveal(), &b) == nil && reflect.DeepEqual(a, b)
}
