package gcptest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"hash/crc32"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// CryptoKey is the name of a key in Cloud KMS.
func CryptoKey(name string) string {
	return "projects/" + Project + "/locations/europe-west3/keyRings/main/cryptoKeys/" + name
}

// keyVersion is a version of a key.
type keyVersion struct {
	name      string
	state     kmspb.CryptoKeyVersion_CryptoKeyVersionState
	algorithm kmspb.CryptoKeyVersion_CryptoKeyVersionAlgorithm
	made      time.Time
	aead      cipher.AEAD
}

// AddKeyVersion adds a version to a key. It is not made the primary one, unless it is
// the first.
func (s *Server) AddKeyVersion(key string, algorithm kmspb.CryptoKeyVersion_CryptoKeyVersionAlgorithm) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	block, err := aes.NewCipher(raw)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.kms[key]) + 1
	s.kms[key] = append(s.kms[key], &keyVersion{
		name: key + "/cryptoKeyVersions/" + strconv.Itoa(n), state: kmspb.CryptoKeyVersion_ENABLED, algorithm: algorithm, aead: aead,
		made: s.now().Add(time.Duration(n)*time.Second - time.Hour),
	})
}

// SetKeyState sets that of a version of a key.
func (s *Server) SetKeyState(key string, version int, state kmspb.CryptoKeyVersion_CryptoKeyVersionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kms[key][version-1].state = state
}

// Damage has what Cloud KMS is sent, or what it answers, be damaged on the way.
func (s *Server) Damage(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.damage = on
}

// keeper is Cloud KMS. s.mu is held while it answers.
type keeper struct {
	kmspb.UnimplementedKeyManagementServiceServer
	s *Server
}

func sum(b []byte) *wrapperspb.Int64Value {
	return wrapperspb.Int64(int64(crc32.Checksum(b, castagnoli)))
}

func fits(b []byte, told *wrapperspb.Int64Value) bool {
	return told != nil && told.GetValue() == sum(b).GetValue()
}

func (k *keeper) versions(key string) ([]*keyVersion, error) {
	if k.s.forbidden["cloudkms.all"] {
		return nil, status.Error(codes.PermissionDenied, "Permission 'cloudkms.x' denied on resource '"+key+"' (or it may not exist).")
	}
	if k.s.kms[key] == nil {
		return nil, status.Error(codes.NotFound, "CryptoKey "+key+" not found.")
	}
	return k.s.kms[key], nil
}

func (v *keyVersion) usable() error {
	switch {
	case v.state != kmspb.CryptoKeyVersion_ENABLED:
		return status.Error(codes.FailedPrecondition, v.name+" is not enabled, current state is: "+v.state.String()+".")
	case v.algorithm != kmspb.CryptoKeyVersion_GOOGLE_SYMMETRIC_ENCRYPTION:
		return status.Error(codes.InvalidArgument, "canary: not for that")
	}
	return nil
}

// ListCryptoKeyVersions lists two at a time, the newest first.
func (k *keeper) ListCryptoKeyVersions(_ context.Context, r *kmspb.ListCryptoKeyVersionsRequest) (*kmspb.ListCryptoKeyVersionsResponse, error) {
	all, err := k.versions(r.GetParent())
	if err != nil {
		return nil, err
	}
	from, _ := strconv.Atoi(r.GetPageToken())
	if from > 0 && k.s.lose {
		return nil, status.Error(codes.Internal, "canary")
	}
	out := &kmspb.ListCryptoKeyVersionsResponse{TotalSize: int32(len(all))}
	to := min(from+2, len(all))
	for i := from; i < to; i++ {
		v := all[len(all)-1-i]
		out.CryptoKeyVersions = append(out.CryptoKeyVersions, &kmspb.CryptoKeyVersion{Name: v.name, State: v.state, Algorithm: v.algorithm, CreateTime: timestamppb.New(v.made)})
	}
	if to < len(all) {
		out.NextPageToken = strconv.Itoa(to)
	}
	return out, nil
}

// Encrypt encrypts under a version, or the first for a key.
func (k *keeper) Encrypt(_ context.Context, r *kmspb.EncryptRequest) (*kmspb.EncryptResponse, error) {
	key, number, named := strings.Cut(r.GetName(), "/cryptoKeyVersions/")
	all, err := k.versions(key)
	if err != nil {
		return nil, err
	}
	n := 1
	if named {
		if n, err = strconv.Atoi(number); err != nil || n < 1 || n > len(all) {
			return nil, status.Error(codes.NotFound, "CryptoKeyVersion "+r.GetName()+" not found.")
		}
	}
	v := all[n-1]
	if err := v.usable(); err != nil {
		return nil, err
	}
	if len(r.GetPlaintext())+len(r.GetAdditionalAuthenticatedData()) > 8<<10 {
		return nil, status.Error(codes.InvalidArgument, "canary: too long")
	}
	c := v.aead.Seal([]byte{byte(n)}, nil, r.GetPlaintext(), r.GetAdditionalAuthenticatedData())
	out := &kmspb.EncryptResponse{
		Name: v.name, Ciphertext: c, CiphertextCrc32C: sum(c), VerifiedPlaintextCrc32C: fits(r.GetPlaintext(), r.GetPlaintextCrc32C()),
		VerifiedAdditionalAuthenticatedDataCrc32C: fits(r.GetAdditionalAuthenticatedData(), r.GetAdditionalAuthenticatedDataCrc32C()),
	}
	if k.s.damage {
		c[len(c)-1] ^= 1
	}
	return out, nil
}

// Decrypt decrypts what any enabled version of a key has encrypted.
func (k *keeper) Decrypt(_ context.Context, r *kmspb.DecryptRequest) (*kmspb.DecryptResponse, error) {
	all, err := k.versions(r.GetName())
	if err != nil {
		return nil, err
	}
	invalid := status.Error(codes.InvalidArgument, "Decryption failed: the ciphertext is invalid.")
	c := r.GetCiphertext()
	if len(c) == 0 || c[0] < 1 || int(c[0]) > len(all) || !fits(c, r.GetCiphertextCrc32C()) || !fits(r.GetAdditionalAuthenticatedData(), r.GetAdditionalAuthenticatedDataCrc32C()) {
		return nil, invalid
	}
	v := all[c[0]-1]
	if err := v.usable(); err != nil {
		return nil, err
	}
	plain, err := v.aead.Open(nil, nil, c[1:], r.GetAdditionalAuthenticatedData())
	if err != nil {
		return nil, invalid
	}
	out := &kmspb.DecryptResponse{Plaintext: plain, PlaintextCrc32C: sum(plain), UsedPrimary: c[0] == 1}
	if k.s.damage {
		plain[0] ^= 1
	}
	return out, nil
}
