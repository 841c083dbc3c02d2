package secretsmanager

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/access"
	"github.com/strongkeep/strongkeep/internal/kube/provider/push"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Metadata is the spec of a PushSecret's metadata.
type Metadata struct {
	Tags        map[string]string `json:"tags,omitempty"`
	Description string            `json:"description,omitempty"`
	Format      string            `json:"secretPushFormat,omitempty"` // "binary" (default) or "string"
	KMSKeyID    string            `json:"kmsKeyId,omitempty"`         // of a secret that is made

	ResourcePolicy       *ResourcePolicy `json:"resourcePolicy,omitempty"`
	ReplicationLocations []string        `json:"replicationLocations,omitempty"` // not supported
}

func metadata(raw json.RawMessage) (m Metadata, err error) {
	if err := push.Metadata(raw, &m); err != nil {
		return m, err
	}
	switch {
	case len(m.ReplicationLocations) > 0:
		return m, errs.New(errs.Unsupported, "metadata.spec.replicationLocations of the PushSecret is not supported: push to a store of each region")
	case m.Format != "" && m.Format != "binary" && m.Format != "string":
		return m, errs.Newf(errs.Invalid, "metadata.spec.secretPushFormat of the PushSecret is %q: it must be binary or string", m.Format)
	}
	m.Tags, err = push.Tags(m.Tags)
	return m, err
}

// maxValue is Secrets Manager's limit, in bytes.
const maxValue = 65536

// Write stores w. A secret of the operator's own that awaits its deletion is
// restored first.
func (s *Store) Write(ctx context.Context, w provider.Write) error {
	m, err := metadata(w.Metadata)
	if err != nil {
		return err
	}
	if err := m.ResourcePolicy.check(w.Document); err != nil {
		return err
	}
	if w.Value.Len() > maxValue {
		return errs.Newf(errs.TooLarge, "the value for %q has %d bytes: Secrets Manager takes %d", w.Key, w.Value.Len(), maxValue)
	}
	at := &secret{store: s, name: s.cfg.Prefix + w.Key, metadata: m, policy: w.Document, part: w.Property != ""}
	done, err := s.turns.Take(ctx, at.name)
	if err != nil {
		return err
	}
	defer done()
	about, err := s.describe(ctx, at.name)
	switch {
	case errs.Is(err, errs.NotExist):
		at.absent = true
	case err != nil:
		return err
	case !push.Managed(pairs(about.Tags)):
		return push.Foreign(at.name)
	case about.DeletedDate != nil:
		if err := s.restore(ctx, at.name); err != nil {
			return err
		}
	}
	return at.write(ctx, about, w)
}

// write tags and writes a secret. What is there, as about says, has its policy before the
// value that it is to keep.
func (c *secret) write(ctx context.Context, about *sm.DescribeSecretOutput, w provider.Write) error {
	made := c.absent
	if !made {
		if err := c.tag(ctx, push.Missing(c.metadata.Tags, pairs(about.Tags))); err != nil {
			return err
		}
		if err := c.restrict(ctx); err != nil {
			return err
		}
	}
	if err := push.Set(ctx, c, w.Property, w.Value); err != nil || !made {
		return err
	}
	return c.restrict(ctx)
}

// Delete removes what Write stored: a property, and with the last one the secret.
func (s *Store) Delete(ctx context.Context, p provider.Place) error {
	at := &secret{store: s, name: s.cfg.Prefix + p.Key, part: true}
	done, err := s.turns.Take(ctx, at.name)
	if err != nil {
		return err
	}
	defer done()
	about, err := s.describe(ctx, at.name)
	switch {
	case errs.Is(err, errs.NotExist):
		return nil
	case err != nil:
		return err
	case !push.Managed(pairs(about.Tags)) || about.DeletedDate != nil:
		return nil
	}
	if p.Property != "" {
		empty, err := push.Unset(ctx, at, p.Property)
		if err != nil || !empty {
			return err
		}
	}
	in := &sm.DeleteSecretInput{SecretId: &at.name}
	switch {
	case s.cfg.ForceDelete:
		in.ForceDeleteWithoutRecovery = aws.Bool(true)
	case s.cfg.RecoveryDays > 0:
		in.RecoveryWindowInDays = &s.cfg.RecoveryDays
	}
	_, err = access.Do(ctx, s.cfg.Access, fmt.Sprintf("deleting %q from Secrets Manager", at.name),
		func(ctx context.Context) (*sm.DeleteSecretOutput, error) { return s.client.DeleteSecret(ctx, in) })
	if errs.Is(err, errs.NotExist) {
		return nil
	}
	return err
}

// Exists reports whether there is a current value.
func (s *Store) Exists(ctx context.Context, p provider.Place) (bool, error) {
	v, err := s.get(ctx, s.cfg.Prefix+p.Key, "")
	if err == nil {
		_, err = v.Property(p.Property)
	}
	if errs.Is(err, errs.NotExist) {
		return false, nil
	}
	return err == nil, err
}

func (s *Store) restore(ctx context.Context, name string) error {
	_, err := access.Do(ctx, s.cfg.Access, fmt.Sprintf("restoring %q in Secrets Manager", name),
		func(ctx context.Context) (*sm.RestoreSecretOutput, error) {
			return s.client.RestoreSecret(ctx, &sm.RestoreSecretInput{SecretId: &name})
		})
	return err
}

// secret is one secret that is written. It implements push.Versions.
type secret struct {
	store    *Store
	name     string
	metadata Metadata
	policy   redact.Secret // what metadata.ResourcePolicy names
	absent   bool          // to be made
	part     bool          // one property of it is written, so others' writes matter
	text     bool          // the current version is a text
}

// Get implements push.Versions.
func (c *secret) Get(ctx context.Context, version string) (provider.Value, error) {
	if c.absent {
		return provider.Value{}, errs.New(errs.NotExist, "it is still to be made")
	}
	in := &sm.GetSecretValueInput{SecretId: &c.name, VersionId: wire.Text(version)}
	out, err := access.Do(ctx, c.store.cfg.Access, fmt.Sprintf("reading %q from Secrets Manager", c.name),
		func(ctx context.Context) (*sm.GetSecretValueOutput, error) {
			return c.store.client.GetSecretValue(ctx, in)
		})
	if err != nil {
		return provider.Value{}, err
	}
	c.text = out.SecretString != nil
	return value(c.name, out.SecretString, out.SecretBinary, out.VersionId)
}

// Put implements push.Versions.
func (c *secret) Put(ctx context.Context, data redact.Secret) (made, replaced string, err error) {
	text, binary := c.encoded(data)
	if c.absent {
		made, err = c.create(ctx, text, binary)
		return made, "", err
	}
	out, err := access.Do(ctx, c.store.cfg.Access, fmt.Sprintf("writing %q to Secrets Manager", c.name),
		func(ctx context.Context) (*sm.PutSecretValueOutput, error) {
			return c.store.client.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: &c.name, SecretString: text, SecretBinary: binary})
		})
	if err != nil || !c.part {
		return "", "", err
	}
	before, err := access.Do(ctx, c.store.cfg.Access, fmt.Sprintf("reading %q from Secrets Manager", c.name),
		func(ctx context.Context) (*sm.GetSecretValueOutput, error) {
			return c.store.client.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: &c.name, VersionStage: aws.String(previous)})
		})
	if err != nil && !errs.Is(err, errs.NotExist) { // NotExist: it had no value
		return "", "", err
	}
	if err == nil {
		replaced = aws.ToString(before.VersionId)
	}
	return aws.ToString(out.VersionId), replaced, nil
}

// encoded returns data in the format that is asked for, else the one that is there.
func (c *secret) encoded(data redact.Secret) (text *string, binary []byte) {
	if c.metadata.Format == "string" || c.metadata.Format == "" && c.text {
		return aws.String(data.RevealString()), nil
	}
	return nil, data.Reveal()
}

func (c *secret) create(ctx context.Context, text *string, binary []byte) (string, error) {
	in := &sm.CreateSecretInput{
		Name: &c.name, SecretString: text, SecretBinary: binary,
		Description: wire.Text(c.metadata.Description), KmsKeyId: wire.Text(c.metadata.KMSKeyID), Tags: tagList(c.metadata.Tags),
	}
	out, err := access.Do(ctx, c.store.cfg.Access, fmt.Sprintf("making %q in Secrets Manager", c.name),
		func(ctx context.Context) (*sm.CreateSecretOutput, error) { return c.store.client.CreateSecret(ctx, in) })
	if err != nil {
		return "", err
	}
	c.absent = false
	return aws.ToString(out.VersionId), nil
}

func (c *secret) tag(ctx context.Context, tags map[string]string) error {
	if len(tags) == 0 {
		return nil
	}
	_, err := access.Do(ctx, c.store.cfg.Access, fmt.Sprintf("tagging %q in Secrets Manager", c.name),
		func(ctx context.Context) (*sm.TagResourceOutput, error) {
			return c.store.client.TagResource(ctx, &sm.TagResourceInput{SecretId: &c.name, Tags: tagList(tags)})
		})
	return err
}

func tagList(tags map[string]string) []types.Tag {
	var list []types.Tag
	for name, value := range tags {
		list = append(list, types.Tag{Key: &name, Value: &value})
	}
	return list
}
