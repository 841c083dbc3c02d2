package secretmanager

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strconv"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/wire"
	"github.com/strongkeep/strongkeep/internal/kube/provider/push"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Metadata is the spec of a PushSecret's metadata.
type Metadata struct {
	Annotations map[string]string `json:"annotations,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Topics      []string          `json:"topics,omitempty"`      // of Pub/Sub
	MergePolicy string            `json:"mergePolicy,omitempty"` // Merge (default) or Replace, of annotations and labels
	// The rest is for a secret that is made.
	CMEKKeyName          string   `json:"cmekKeyName,omitempty"`
	ReplicationLocation  string   `json:"replicationLocation,omitempty"`
	ReplicationLocations []string `json:"replicationLocations,omitempty"`
}

func (s *Store) pushed(raw json.RawMessage) (m Metadata, err error) {
	if err := push.Metadata(raw, &m); err != nil {
		return m, err
	}
	if m.MergePolicy != "" && m.MergePolicy != "Merge" && m.MergePolicy != "Replace" {
		return m, errs.Newf(errs.Invalid, "metadata.spec.mergePolicy of the PushSecret is %q: it must be Merge or Replace", m.MergePolicy)
	}
	if len(m.ReplicationLocations) == 0 && m.ReplicationLocation != "" {
		m.ReplicationLocations = []string{m.ReplicationLocation}
	}
	if s.cfg.Location != "" && len(m.ReplicationLocations) > 0 {
		return m, errs.New(errs.Invalid, "metadata.spec.replicationLocations of the PushSecret does not go with spec.provider.gcpsm.location: a regional secret is in its region only")
	}
	m.Labels, err = push.Tags(m.Labels)
	return m, err
}

// maxValue is Secret Manager's limit, in bytes.
const maxValue = 65536

// Write stores w.
func (s *Store) Write(ctx context.Context, w provider.Write) error {
	m, err := s.pushed(w.Metadata)
	if err != nil {
		return err
	}
	switch {
	case w.Value.Len() > maxValue:
		return errs.Newf(errs.TooLarge, "the value for %q has %d bytes: Secret Manager takes %d", w.Key, w.Value.Len(), maxValue)
	case w.Value.Empty() && w.Property == "":
		return errs.Newf(errs.Invalid, "the value for %q is empty: Secret Manager takes none that is", w.Key)
	}
	name, err := s.name(ctx, w.Key)
	if err != nil {
		return err
	}
	done, err := s.turns.Take(ctx, w.Key)
	if err != nil {
		return err
	}
	defer done()
	at := &secret{store: s, name: name, key: w.Key, metadata: m}
	about, err := s.describe(ctx, name, w.Key)
	switch {
	case errs.Is(err, errs.NotExist):
		at.absent = true
	case err != nil:
		return err
	case !push.Managed(about.GetLabels()):
		return push.Foreign(w.Key)
	default:
		if err := at.update(ctx, about); err != nil {
			return err
		}
	}
	return push.Set(ctx, at, w.Property, w.Value)
}

// Delete removes what Write stored: a property, and with the last one the secret.
func (s *Store) Delete(ctx context.Context, p provider.Place) error {
	name, err := s.name(ctx, p.Key)
	if err != nil {
		return err
	}
	done, err := s.turns.Take(ctx, p.Key)
	if err != nil {
		return err
	}
	defer done()
	about, err := s.describe(ctx, name, p.Key)
	switch {
	case errs.Is(err, errs.NotExist):
		return nil
	case err != nil:
		return err
	case !push.Managed(about.GetLabels()):
		return nil
	}
	if p.Property != "" {
		empty, err := push.Unset(ctx, &secret{store: s, name: name, key: p.Key}, p.Property)
		if err != nil || !empty {
			return err
		}
	}
	_, err = do(ctx, s, call{wire.Call{Doing: fmt.Sprintf("deleting %q from Secret Manager", p.Key), Routing: "name=" + name}, true},
		func(ctx context.Context) (*emptypb.Empty, error) {
			return s.client.DeleteSecret(ctx, &pb.DeleteSecretRequest{Name: name, Etag: about.GetEtag()})
		})
	if errs.Is(err, errs.NotExist) {
		return nil
	}
	return conflict(err)
}

// conflict gives a write on condition its kind, where somebody else was first.
func conflict(err error) error {
	if wire.Code(err) == codes.FailedPrecondition {
		return errs.As(errs.Conflict, err)
	}
	return err
}

// Exists reports whether there is a value that can be read, were it not the latest.
func (s *Store) Exists(ctx context.Context, p provider.Place) (bool, error) {
	name, err := s.name(ctx, p.Key)
	if err != nil {
		return false, err
	}
	v, err := s.access(ctx, name, p.Key, latest)
	if off(err) {
		newest, listErr := s.newestEnabled(ctx, name, p.Key)
		if listErr != nil || newest == "" {
			return false, listErr
		}
		v, err = s.access(ctx, name, p.Key, newest)
	}
	if err == nil {
		_, err = v.Property(p.Property)
	}
	if errs.Is(err, errs.NotExist) {
		return false, nil
	}
	return err == nil, err
}

// secret is one secret that is written. It implements push.Versions.
type secret struct {
	store     *Store
	name, key string
	metadata  Metadata
	absent    bool // to be made
}

// Get implements push.Versions. A version that is disabled or destroyed has nothing
// that could be kept.
func (c *secret) Get(ctx context.Context, version string) (provider.Value, error) {
	if c.absent {
		return provider.Value{}, errs.New(errs.NotExist, "it is still to be made")
	}
	if version == "" {
		version = latest
	}
	v, err := c.store.access(ctx, c.name, c.key, version)
	if !off(err) {
		return v, err
	}
	at := c.name + "/versions/" + version
	about, err := do(ctx, c.store, call{wire.Call{Doing: fmt.Sprintf("describing a version of %q", c.key), Routing: "name=" + at}, true},
		func(ctx context.Context) (*pb.SecretVersion, error) {
			return c.store.client.GetSecretVersion(ctx, &pb.GetSecretVersionRequest{Name: at})
		})
	number, _ := versionOf(about.GetName(), c.key)
	return provider.Value{Version: number}, err
}

// Put implements push.Versions: versions are counted, so the one before is what was
// current.
func (c *secret) Put(ctx context.Context, data redact.Secret) (made, replaced string, err error) {
	if data.Len() > maxValue {
		return "", "", errs.Newf(errs.TooLarge, "%q would have %d bytes: Secret Manager takes %d", c.key, data.Len(), maxValue)
	}
	if c.absent {
		if err := c.create(ctx); err != nil {
			return "", "", err
		}
	}
	sum := int64(crc32.Checksum(data.Reveal(), castagnoli))
	out, err := do(ctx, c.store, call{wire.Call{Doing: fmt.Sprintf("writing %q to Secret Manager", c.key), Routing: "parent=" + c.name, Secret: true, Once: true}, true},
		func(ctx context.Context) (*pb.SecretVersion, error) {
			return c.store.client.AddSecretVersion(ctx, &pb.AddSecretVersionRequest{
				Parent: c.name, Payload: &pb.SecretPayload{Data: data.Reveal(), DataCrc32C: &sum},
			})
		})
	if err != nil {
		return "", "", err
	}
	made, _ = versionOf(out.GetName(), c.key)
	n, err := strconv.ParseInt(made, 10, 64)
	if err != nil {
		return "", "", errs.Newf(errs.Unavailable, "writing %q to Secret Manager: the answer has no version", c.key)
	}
	if n > 1 {
		replaced = strconv.FormatInt(n-1, 10)
	}
	return made, replaced, nil
}

func (c *secret) create(ctx context.Context) error {
	parent, err := c.store.parent(ctx)
	if err != nil {
		return err
	}
	about := &pb.Secret{Labels: c.metadata.Labels, Annotations: c.metadata.Annotations, Topics: topics(c.metadata.Topics)}
	var key *pb.CustomerManagedEncryption
	if c.metadata.CMEKKeyName != "" {
		key = &pb.CustomerManagedEncryption{KmsKeyName: c.metadata.CMEKKeyName}
	}
	if c.store.cfg.Location != "" {
		about.CustomerManagedEncryption = key
	} else {
		about.Replication = replication(c.metadata.ReplicationLocations, key)
	}
	_, err = do(ctx, c.store, call{wire.Call{Doing: fmt.Sprintf("making %q in Secret Manager", c.key), Routing: "parent=" + parent}, true},
		func(ctx context.Context) (*pb.Secret, error) {
			return c.store.client.CreateSecret(ctx, &pb.CreateSecretRequest{Parent: parent, SecretId: c.key, Secret: about})
		})
	c.absent = err != nil
	return err
}

func replication(locations []string, key *pb.CustomerManagedEncryption) *pb.Replication {
	if len(locations) == 0 {
		return &pb.Replication{Replication: &pb.Replication_Automatic_{Automatic: &pb.Replication_Automatic{CustomerManagedEncryption: key}}}
	}
	var replicas []*pb.Replication_UserManaged_Replica
	for _, location := range locations {
		replicas = append(replicas, &pb.Replication_UserManaged_Replica{Location: location, CustomerManagedEncryption: key})
	}
	return &pb.Replication{Replication: &pb.Replication_UserManaged_{UserManaged: &pb.Replication_UserManaged{Replicas: replicas}}}
}

func topics(names []string) []*pb.Topic {
	var list []*pb.Topic
	for _, name := range names {
		list = append(list, &pb.Topic{Name: name})
	}
	return list
}

// update gives a secret that exists the labels, annotations and topics that are
// asked for, on condition that nobody else changes them.
func (c *secret) update(ctx context.Context, about *pb.Secret) error {
	want := &pb.Secret{Name: c.name, Etag: about.GetEtag(), Labels: maps.Clone(c.metadata.Labels), Annotations: maps.Clone(c.metadata.Annotations), Topics: topics(c.metadata.Topics)}
	if c.metadata.MergePolicy != "Replace" {
		want.Labels, want.Annotations = merged(about.GetLabels(), want.Labels), merged(about.GetAnnotations(), want.Annotations)
	}
	var changed []string
	if !maps.Equal(want.GetLabels(), about.GetLabels()) {
		changed = append(changed, "labels")
	}
	if !maps.Equal(want.GetAnnotations(), about.GetAnnotations()) {
		changed = append(changed, "annotations")
	}
	if len(want.GetTopics()) > 0 && !slices.EqualFunc(want.GetTopics(), about.GetTopics(), func(a, b *pb.Topic) bool { return a.GetName() == b.GetName() }) {
		changed = append(changed, "topics")
	}
	if len(changed) == 0 {
		return nil
	}
	_, err := do(ctx, c.store, call{wire.Call{Doing: fmt.Sprintf("labelling %q in Secret Manager", c.key), Routing: "secret.name=" + c.name}, true},
		func(ctx context.Context) (*pb.Secret, error) {
			return c.store.client.UpdateSecret(ctx, &pb.UpdateSecretRequest{Secret: want, UpdateMask: &fieldmaskpb.FieldMask{Paths: changed}})
		})
	return conflict(err)
}

func merged(have, more map[string]string) map[string]string {
	out := maps.Clone(have)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, more)
	return out
}
