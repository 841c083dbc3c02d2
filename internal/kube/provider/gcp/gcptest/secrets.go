package gcptest

import (
	"context"
	"hash/crc32"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func itoa(n int) string { return strconv.Itoa(n) }

// secret is one secret, by its name without the project.
type secret struct {
	about    *pb.Secret
	versions []*version // by number, from 1
	aliases  map[string]int
	etag     int
}

type version struct {
	data  []byte
	state pb.SecretVersion_State
}

// maxPage is the most that a list gives, though it be asked for more.
const maxPage = 100

// Put adds a version to a secret, which is made if need be. It returns its number.
func (s *Server) Put(key, value string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.put("secrets/"+key, value)
}

// PutRegional is Put of a regional secret.
func (s *Server) PutRegional(location, key, value string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.put("locations/"+location+"/secrets/"+key, value)
}

func (s *Server) put(path, value string) string {
	c := s.secrets[path]
	if c == nil {
		c = &secret{about: &pb.Secret{Name: "projects/" + Number + "/" + path}, aliases: map[string]int{}}
		s.secrets[path] = c
	}
	c.versions = append(c.versions, &version{[]byte(value), pb.SecretVersion_ENABLED})
	return itoa(len(c.versions))
}

// Label sets labels of a secret, Annotate annotations, Expire its end.
func (s *Server) Label(key string, labels map[string]string) {
	s.change(key, func(c *secret) { c.about.Labels = maps.Clone(labels) })
}

// Annotate sets annotations of a secret.
func (s *Server) Annotate(key string, annotations map[string]string) {
	s.change(key, func(c *secret) { c.about.Annotations = maps.Clone(annotations) })
}

// Expire sets the end of a secret.
func (s *Server) Expire(key string, at time.Time) {
	s.change(key, func(c *secret) { c.about.Expiration = &pb.Secret_ExpireTime{ExpireTime: timestamppb.New(at)} })
}

// Alias names a version of a secret.
func (s *Server) Alias(key, alias string, number int) {
	s.change(key, func(c *secret) { c.aliases[alias] = number })
}

// State sets the state of a version.
func (s *Server) State(key string, number int, state pb.SecretVersion_State) {
	s.change(key, func(c *secret) { c.versions[number-1].state = state })
}

// Remove deletes a secret.
func (s *Server) Remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.secrets, "secrets/"+key)
}

func (s *Server) change(key string, f func(*secret)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.secrets["secrets/"+key])
}

// State of a secret, for tests to look at.
type State struct {
	Data     string // of the latest version
	Versions int
	About    *pb.Secret
}

// Secret returns the state of a secret, if there is one.
func (s *Server) Secret(key string) (State, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.secrets["secrets/"+key]
	if c == nil {
		return State{}, false
	}
	st := State{Versions: len(c.versions), About: proto.CloneOf(c.about)}
	if n := len(c.versions); n > 0 {
		st.Data = string(c.versions[n-1].data)
	}
	return st, true
}

// path returns what stands behind the project, if it is the one.
func path(name string) (string, error) {
	_, rest, _ := strings.Cut(name, "/")
	project, rest, _ := strings.Cut(rest, "/")
	if project != Project && project != Number {
		return "", status.Error(codes.NotFound, "Project ["+project+"] not found or deleted")
	}
	return rest, nil
}

func (s *Server) may(permission string) error {
	if s.forbidden[permission] {
		return status.Error(codes.PermissionDenied, "Permission '"+permission+"' denied for resource (or it may not exist).")
	}
	return nil
}

func (s *Server) find(name, permission string) (*secret, error) {
	at, err := path(name)
	if err == nil {
		err = s.may(permission)
	}
	if err != nil {
		return nil, err
	}
	c := s.secrets[at]
	if c == nil {
		return nil, status.Error(codes.NotFound, "Secret ["+name+"] not found or has no versions.")
	}
	return c, nil
}

func (c *secret) current() *pb.Secret {
	about := proto.CloneOf(c.about)
	about.Etag = `"` + itoa(c.etag) + `"`
	return about
}

func (s *Server) version(name, permission string) (*secret, int, error) {
	at, which, _ := strings.Cut(name, "/versions/")
	c, err := s.find(at, permission)
	if err != nil {
		return nil, 0, err
	}
	n, err := strconv.Atoi(which)
	if which == "latest" {
		n = len(c.versions)
	} else if err != nil {
		n = c.aliases[which]
	}
	if n < 1 || n > len(c.versions) {
		return nil, 0, status.Error(codes.NotFound, "Secret Version ["+name+"] not found.")
	}
	return c, n, nil
}

func (c *secret) describe(n int) *pb.SecretVersion {
	return &pb.SecretVersion{Name: c.about.GetName() + "/versions/" + itoa(n), State: c.versions[n-1].state, CreateTime: timestamppb.New(time.Unix(int64(n), 0))}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AccessSecretVersion implements pb.SecretManagerServiceServer, as the rest.
func (s *Server) AccessSecretVersion(_ context.Context, r *pb.AccessSecretVersionRequest) (*pb.AccessSecretVersionResponse, error) {
	c, n, err := s.version(r.GetName(), "secretmanager.versions.access")
	if err != nil {
		return nil, err
	}
	v := c.versions[n-1]
	if v.state != pb.SecretVersion_ENABLED {
		return nil, status.Error(codes.FailedPrecondition, "Secret Version ["+r.GetName()+"] is in "+v.state.String()+" state.")
	}
	sum := int64(crc32.Checksum(v.data, castagnoli))
	return &pb.AccessSecretVersionResponse{Name: c.describe(n).GetName(), Payload: &pb.SecretPayload{Data: v.data, DataCrc32C: &sum}}, nil
}

func (s *Server) GetSecretVersion(_ context.Context, r *pb.GetSecretVersionRequest) (*pb.SecretVersion, error) {
	c, n, err := s.version(r.GetName(), "secretmanager.versions.get")
	if err != nil {
		return nil, err
	}
	return c.describe(n), nil
}

func (s *Server) GetSecret(_ context.Context, r *pb.GetSecretRequest) (*pb.Secret, error) {
	c, err := s.find(r.GetName(), "secretmanager.secrets.get")
	if err != nil {
		return nil, err
	}
	return c.current(), nil
}

// page returns what stands at a token, and the next token.
func page[T any](s *Server, all []T, size int32, token string) ([]T, string, error) {
	from := 0
	if token != "" {
		var err error
		if from, err = strconv.Atoi(strings.TrimPrefix(token, "page-")); err != nil || from >= len(all) {
			return nil, "", status.Error(codes.InvalidArgument, "Invalid page token.")
		}
		if s.lose {
			return nil, "", status.Error(codes.Internal, "canary: an internal error")
		}
	}
	to := min(from+maxPage, len(all))
	if size > 0 {
		to = min(to, from+int(size))
	}
	if to == len(all) {
		return all[from:to], "", nil
	}
	return all[from:to], "page-" + itoa(to), nil
}

var (
	parents     = regexp.MustCompile(`^(locations/[a-z0-9-]+)?$`)
	labelTerms  = regexp.MustCompile(`^labels\.([a-z0-9_-]+)=([a-z0-9_-]+)$`)
	prefixTerms = regexp.MustCompile(`^name:([A-Za-z0-9_-]+)$`)
)

// matches reads a filter, of which it knows what operators send.
func matches(filter, path string, about *pb.Secret) (bool, error) {
	for term := range strings.SplitSeq(filter, " AND ") {
		label, prefix := labelTerms.FindStringSubmatch(term), prefixTerms.FindStringSubmatch(term)
		switch {
		case term == "":
		case label != nil:
			if about.GetLabels()[label[1]] != label[2] {
				return false, nil
			}
		case prefix != nil:
			if !strings.Contains(path, prefix[1]) {
				return false, nil
			}
		default:
			return false, status.Error(codes.InvalidArgument, "Invalid filter.")
		}
	}
	return true, nil
}

func (s *Server) ListSecrets(_ context.Context, r *pb.ListSecretsRequest) (*pb.ListSecretsResponse, error) {
	at, err := path(r.GetParent())
	if err == nil {
		err = s.may("secretmanager.secrets.list")
	}
	if err != nil {
		return nil, err
	}
	if !parents.MatchString(at) {
		return nil, status.Error(codes.InvalidArgument, "Invalid parent.")
	}
	if at != "" {
		at += "/"
	}
	var all []*pb.Secret
	for _, p := range slices.Backward(slices.Sorted(maps.Keys(s.secrets))) { // in no useful order
		rest, ok := strings.CutPrefix(p, at+"secrets/")
		if !ok || strings.Contains(rest, "/") {
			continue
		}
		ok, err := matches(r.GetFilter(), p, s.secrets[p].about)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, s.secrets[p].current())
		}
	}
	some, next, err := page(s, all, r.GetPageSize(), r.GetPageToken())
	return &pb.ListSecretsResponse{Secrets: some, NextPageToken: next, TotalSize: int32(len(all))}, err
}

func (s *Server) ListSecretVersions(_ context.Context, r *pb.ListSecretVersionsRequest) (*pb.ListSecretVersionsResponse, error) {
	c, err := s.find(r.GetParent(), "secretmanager.versions.list")
	if err != nil {
		return nil, err
	}
	var all []*pb.SecretVersion
	for n := range c.versions {
		if v := c.describe(n + 1); r.GetFilter() != "state:ENABLED" || v.GetState() == pb.SecretVersion_ENABLED {
			all = append(all, v)
		}
	}
	some, next, err := page(s, all, r.GetPageSize(), r.GetPageToken())
	return &pb.ListSecretVersionsResponse{Versions: some, NextPageToken: next}, err
}

func (s *Server) CreateSecret(_ context.Context, r *pb.CreateSecretRequest) (*pb.Secret, error) {
	at, err := path(r.GetParent())
	if err == nil {
		err = s.may("secretmanager.secrets.create")
	}
	if err != nil {
		return nil, err
	}
	if (at == "") != (r.GetSecret().GetReplication() != nil) {
		return nil, status.Error(codes.InvalidArgument, "Secret.replication must be set, and must not be for a regional secret.")
	}
	p := strings.TrimPrefix(at+"/secrets/"+r.GetSecretId(), "/")
	if s.secrets[p] != nil {
		return nil, status.Error(codes.AlreadyExists, "Secret ["+p+"] already exists.")
	}
	c := &secret{about: proto.CloneOf(r.GetSecret()), aliases: map[string]int{}}
	c.about.Name = "projects/" + Number + "/" + p
	s.secrets[p] = c
	return c.current(), nil
}

func (s *Server) AddSecretVersion(_ context.Context, r *pb.AddSecretVersionRequest) (*pb.SecretVersion, error) {
	c, err := s.find(r.GetParent(), "secretmanager.versions.add")
	if err != nil {
		return nil, err
	}
	data := r.GetPayload().GetData()
	if len(data) == 0 || r.GetPayload().GetDataCrc32C() != int64(crc32.Checksum(data, castagnoli)) {
		return nil, status.Error(codes.InvalidArgument, "The payload is empty, or not what its checksum says: "+string(data))
	}
	c.versions = append(c.versions, &version{slices.Clone(data), pb.SecretVersion_ENABLED})
	return c.describe(len(c.versions)), nil
}

func (s *Server) UpdateSecret(_ context.Context, r *pb.UpdateSecretRequest) (*pb.Secret, error) {
	c, err := s.find(r.GetSecret().GetName(), "secretmanager.secrets.update")
	if err != nil {
		return nil, err
	}
	if tag := r.GetSecret().GetEtag(); tag != "" && tag != c.current().GetEtag() {
		return nil, status.Error(codes.FailedPrecondition, "The etag does not match.")
	}
	for _, field := range r.GetUpdateMask().GetPaths() {
		switch field {
		case "labels":
			c.about.Labels = maps.Clone(r.GetSecret().GetLabels())
		case "annotations":
			c.about.Annotations = maps.Clone(r.GetSecret().GetAnnotations())
		case "topics":
			c.about.Topics = r.GetSecret().GetTopics()
		default:
			return nil, status.Error(codes.InvalidArgument, "Invalid update mask.")
		}
	}
	c.etag++
	return c.current(), nil
}

func (s *Server) DeleteSecret(_ context.Context, r *pb.DeleteSecretRequest) (*emptypb.Empty, error) {
	c, err := s.find(r.GetName(), "secretmanager.secrets.delete")
	if err != nil {
		return nil, err
	}
	if r.GetEtag() != "" && r.GetEtag() != c.current().GetEtag() {
		return nil, status.Error(codes.FailedPrecondition, "The etag does not match.")
	}
	at, _ := path(r.GetName())
	delete(s.secrets, at)
	return &emptypb.Empty{}, nil
}
