package parameterstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/push"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Metadata is the spec of a PushSecret's metadata.
type Metadata struct {
	Tags        map[string]string `json:"tags,omitempty"`
	Description string            `json:"description,omitempty"`
	// SecretType is String, StringList or SecureString. A new parameter is a
	// SecureString; one that exists stays what it is.
	SecretType string `json:"secretType,omitempty"`
	KMSKeyID   string `json:"kmsKeyID,omitempty"` // of a SecureString
	Tier       Tier   `json:"tier,omitzero"`
	// EncodeAsDecoded is about whole Secrets, which are always pushed as objects of
	// texts.
	EncodeAsDecoded bool `json:"encodeAsDecoded,omitempty"`
}

// Tier is Standard, Advanced or Intelligent-Tiering.
type Tier struct {
	Type     string          `json:"type,omitempty"`
	Policies json.RawMessage `json:"policies,omitempty"` // of an Advanced parameter
}

func metadata(raw json.RawMessage) (m Metadata, err error) {
	if err := push.Metadata(raw, &m); err != nil {
		return m, err
	}
	switch m.SecretType {
	case "", string(types.ParameterTypeString), string(types.ParameterTypeStringList), string(types.ParameterTypeSecureString):
	default:
		return m, errs.Newf(errs.Invalid, "metadata.spec.secretType of the PushSecret is %q: it must be String, StringList or SecureString", m.SecretType)
	}
	switch m.Tier.Type {
	case "", string(types.ParameterTierStandard), string(types.ParameterTierAdvanced), string(types.ParameterTierIntelligentTiering):
	default:
		return m, errs.Newf(errs.Invalid, "metadata.spec.tier.type of the PushSecret is %q: it must be Standard, Advanced or Intelligent-Tiering", m.Tier.Type)
	}
	m.Tags, err = push.Tags(m.Tags)
	return m, err
}

// maxValue is the limit of an Advanced parameter, in bytes; others take half.
const maxValue = 8192

// Write stores w.
func (s *Store) Write(ctx context.Context, w provider.Write) error {
	m, err := metadata(w.Metadata)
	if err != nil {
		return err
	}
	name := s.cfg.Prefix + w.Key
	switch {
	case w.Value.Len() > maxValue:
		return errs.Newf(errs.TooLarge, "the value for %q has %d bytes: Parameter Store takes %d, and 4096 in its standard tier", w.Key, w.Value.Len(), maxValue)
	case w.Value.Empty() && w.Property == "":
		return errs.Newf(errs.Invalid, "the value for %q is empty, which Parameter Store does not take", w.Key)
	case !utf8.Valid(w.Value.Reveal()):
		return errs.Newf(errs.Invalid, "the value for %q is not text, which Parameter Store does not take: encode it by the PushSecret's template", w.Key)
	}
	done, err := s.turns.Take(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	at := &parameter{store: s, name: name, metadata: m}
	have, err := s.pairs(ctx, name)
	switch {
	case errs.Is(err, errs.NotExist):
		at.absent = true
	case err != nil:
		return err
	case !push.Managed(have):
		return push.Foreign(name)
	default:
		if err := at.tag(ctx, push.Missing(m.Tags, have)); err != nil {
			return err
		}
	}
	return push.Set(ctx, at, w.Property, w.Value)
}

// Delete removes what Write stored: a property, and with the last one the parameter.
func (s *Store) Delete(ctx context.Context, p provider.Place) error {
	at := &parameter{store: s, name: s.cfg.Prefix + p.Key}
	done, err := s.turns.Take(ctx, at.name)
	if err != nil {
		return err
	}
	defer done()
	have, err := s.pairs(ctx, at.name)
	switch {
	case errs.Is(err, errs.NotExist):
		return nil
	case err != nil:
		return err
	case !push.Managed(have):
		return nil
	}
	if p.Property != "" {
		empty, err := push.Unset(ctx, at, p.Property)
		if err != nil || !empty {
			return err
		}
	}
	_, err = do(ctx, s, fmt.Sprintf("deleting %q from Parameter Store", at.name), func(ctx context.Context) (*ssm.DeleteParameterOutput, error) {
		return s.client.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &at.name})
	})
	if errs.Is(err, errs.NotExist) {
		return nil
	}
	return err
}

// Exists reports whether there is a value.
func (s *Store) Exists(ctx context.Context, p provider.Place) (bool, error) {
	v, err := s.get(ctx, s.cfg.Prefix+p.Key)
	if err == nil {
		_, err = v.Property(p.Property)
	}
	if errs.Is(err, errs.NotExist) {
		return false, nil
	}
	return err == nil, err
}

// parameter is one parameter that is written. It implements push.Versions.
type parameter struct {
	store    *Store
	name     string
	metadata Metadata
	absent   bool // to be made
	kind     types.ParameterType
}

// Get implements push.Versions.
func (c *parameter) Get(ctx context.Context, version string) (provider.Value, error) {
	if c.absent {
		return provider.Value{}, errs.New(errs.NotExist, "it is still to be made")
	}
	name := c.name
	if version != "" {
		name += ":" + version
	}
	p, err := c.store.parameter(ctx, name)
	if err != nil {
		return provider.Value{}, err
	}
	if p != nil {
		c.kind = p.Type
	}
	return value(name, p)
}

// Put implements push.Versions: versions are counted, so the one before is known.
func (c *parameter) Put(ctx context.Context, data redact.Secret) (made, replaced string, err error) {
	in := &ssm.PutParameterInput{
		Name: &c.name, Value: aws.String(data.RevealString()), Overwrite: aws.Bool(!c.absent), Type: c.typ(),
		Description: wire.Text(c.metadata.Description), Tier: types.ParameterTier(c.metadata.Tier.Type), Policies: wire.Text(string(c.metadata.Tier.Policies)),
	}
	if in.Type == types.ParameterTypeSecureString {
		in.KeyId = wire.Text(c.metadata.KMSKeyID)
	}
	if c.absent {
		in.Tags = tagList(c.metadata.Tags)
	}
	out, err := do(ctx, c.store, fmt.Sprintf("writing %q to Parameter Store", c.name), func(ctx context.Context) (*ssm.PutParameterOutput, error) {
		return c.store.client.PutParameter(ctx, in)
	})
	if err != nil {
		return "", "", err
	}
	made = strconv.FormatInt(out.Version, 10)
	if !c.absent {
		replaced = strconv.FormatInt(out.Version-1, 10)
	}
	c.absent = false
	return made, replaced, nil
}

func (c *parameter) typ() types.ParameterType {
	switch {
	case c.metadata.SecretType != "":
		return types.ParameterType(c.metadata.SecretType)
	case c.kind != "":
		return c.kind
	}
	return types.ParameterTypeSecureString
}

func (c *parameter) tag(ctx context.Context, tags map[string]string) error {
	if len(tags) == 0 {
		return nil
	}
	_, err := do(ctx, c.store, fmt.Sprintf("tagging %q in Parameter Store", c.name), func(ctx context.Context) (*ssm.AddTagsToResourceOutput, error) {
		return c.store.client.AddTagsToResource(ctx, &ssm.AddTagsToResourceInput{
			ResourceId: &c.name, ResourceType: types.ResourceTypeForTaggingParameter, Tags: tagList(tags),
		})
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
