package gcpkms

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"hash/crc32"
	"net/url"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Name is the kind of key, on disk.
const Name = "gcpkms"

const (
	// maxPlain is what keys in HSMs take, less what a ciphertext is bound to.
	maxPlain = 8<<10 - 64
	// maxAnswer bounds an answer: a page of versions.
	maxAnswer = 4 << 20
	// maxPages bounds a list, which a server could make endless.
	maxPages = 100
	pageSize = 500
)

// retries are three tries within about half a second.
const retries = `{"methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":3,"initialBackoff":"0.1s","maxBackoff":"0.5s","backoffMultiplier":2,"retryableStatusCodes":["UNAVAILABLE"]}}]}`

// Key is a key of Google Cloud KMS. It implements keystore.Versioned.
type Key struct {
	settings Settings
	client   kmspb.KeyManagementServiceClient
	login    *login
}

// alive has the system end a connection whose other end is gone without a word (TCP_USER_TIMEOUT, which gRPC sets by Timeout): each call
// would wait for its own limit, for a quarter of an hour. Time is as often as Google lets clients ask.
var alive = keepalive.ClientParameters{Time: 5 * time.Minute, Timeout: 10 * time.Second}

// Open is the keystore.Opener of Google Cloud KMS; Settings are what it takes.
func Open(raw []byte) (keystore.Versioned, error) {
	s, err := parse(raw)
	if err != nil {
		return nil, err
	}
	target, security := "cloudkms.googleapis.com:443", credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	if s.Endpoint != "" {
		u, err := url.Parse(s.Endpoint)
		if err != nil {
			return nil, errs.New(errs.Invalid, "endpoint is no address")
		}
		if target = u.Host; u.Scheme == "http" {
			security = insecure.NewCredentials()
		} else if u.Port() == "" {
			target += ":443"
		}
	}
	conn, err := grpc.NewClient("dns:///"+target, grpc.WithTransportCredentials(security), grpc.WithUserAgent("strongkeep"), grpc.WithDisableServiceConfig(),
		grpc.WithKeepaliveParams(alive), grpc.WithDefaultServiceConfig(retries), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)))
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making a client of Google Cloud KMS: %w", err)
	}
	return &Key{settings: s, client: kmspb.NewKeyManagementServiceClient(conn), login: newLogin(&s)}, nil
}

// Name returns Name.
func (k *Key) Name() string { return Name }

// KeyID is the name of the key, which Google gives to no other one again.
func (k *Key) KeyID() string { return k.settings.Key }

func (k *Key) of(v version) string { return k.settings.Key + "/cryptoKeyVersions/" + v.String() }

// Wrap implements keystore.Key.
func (k *Key) Wrap(ctx context.Context, aad []byte, plain redact.Secret) ([]byte, error) {
	h, err := k.History(ctx)
	if err != nil {
		return nil, err
	}
	return k.WrapAs(ctx, h.Versions[len(h.Versions)-1].ID, aad, plain)
}

// WrapAs implements keystore.Versioned.
func (k *Key) WrapAs(ctx context.Context, id string, aad []byte, plain redact.Secret) ([]byte, error) {
	v, err := parseVersion(id)
	if err != nil {
		return nil, err
	}
	if plain.Len() > maxPlain {
		return nil, errs.Newf(errs.TooLarge, "%d bytes are too many for Google Cloud KMS: at most %d", plain.Len(), maxPlain)
	}
	doing, to := "encrypting by "+k.of(v), bound(v, aad)
	out, err := do(ctx, k, call{doing, k.of(v)}, func(ctx context.Context) (*kmspb.EncryptResponse, error) {
		return k.client.Encrypt(ctx, &kmspb.EncryptRequest{
			Name: k.of(v), Plaintext: plain.Reveal(), PlaintextCrc32C: sum(plain.Reveal()), AdditionalAuthenticatedData: to, AdditionalAuthenticatedDataCrc32C: sum(to),
		})
	})
	switch {
	case err != nil:
		return nil, err
	case !out.GetVerifiedPlaintextCrc32C(), !out.GetVerifiedAdditionalAuthenticatedDataCrc32C(), !fits(out.GetCiphertext(), out.GetCiphertextCrc32C()):
		return nil, damaged(doing)
	case len(out.GetCiphertext()) == 0 || out.GetName() != k.of(v):
		return nil, errs.Newf(errs.Unavailable, "%s: Google encrypted under another version", doing)
	}
	return pack(v, out.GetCiphertext()), nil
}

// Unwrap implements keystore.Key.
func (k *Key) Unwrap(ctx context.Context, aad, blob []byte) (redact.Secret, error) {
	v, ciphertext, err := unpack(blob)
	if err != nil {
		return redact.Secret{}, err
	}
	doing, to := "decrypting by "+k.of(v), bound(v, aad)
	out, err := do(ctx, k, call{doing, k.settings.Key}, func(ctx context.Context) (*kmspb.DecryptResponse, error) {
		return k.client.Decrypt(ctx, &kmspb.DecryptRequest{
			Name: k.settings.Key, Ciphertext: ciphertext, CiphertextCrc32C: sum(ciphertext), AdditionalAuthenticatedData: to, AdditionalAuthenticatedDataCrc32C: sum(to),
		})
	})
	switch {
	case err != nil:
		return redact.Secret{}, err
	case len(out.GetPlaintext()) == 0 || !fits(out.GetPlaintext(), out.GetPlaintextCrc32C()):
		clear(out.GetPlaintext())
		return redact.Secret{}, damaged(doing)
	}
	return redact.New(out.GetPlaintext()), nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum is the checksum that Google asks for.
func sum(b []byte) *wrapperspb.Int64Value {
	return wrapperspb.Int64(int64(crc32.Checksum(b, castagnoli)))
}

func fits(b []byte, told *wrapperspb.Int64Value) bool {
	return told != nil && told.GetValue() == sum(b).GetValue()
}

// VersionOf implements keystore.Versioned.
func (k *Key) VersionOf(blob []byte) (string, error) {
	v, _, err := unpack(blob)
	if err != nil {
		return "", err
	}
	return v.String(), nil
}

// History implements keystore.Versioned. Only versions that are enabled are listed:
// others do not decrypt. Which one is the primary does not matter: Encrypt names one.
func (k *Key) History(ctx context.Context) (keystore.History, error) {
	doing := "listing the versions of " + k.settings.Key
	type numbered struct {
		version
		keystore.Version
	}
	var all []numbered
	closed, token := 0, ""
	for range maxPages {
		page, err := do(ctx, k, call{doing, k.settings.Key}, func(ctx context.Context) (*kmspb.ListCryptoKeyVersionsResponse, error) {
			return k.client.ListCryptoKeyVersions(ctx, &kmspb.ListCryptoKeyVersionsRequest{Parent: k.settings.Key, PageSize: pageSize, PageToken: token})
		})
		if err != nil {
			return keystore.History{}, err
		}
		for _, is := range page.GetCryptoKeyVersions() {
			if is.GetState() != kmspb.CryptoKeyVersion_ENABLED {
				closed++
				continue
			}
			v, err := k.read(doing, is)
			if err != nil {
				return keystore.History{}, err
			}
			all = append(all, numbered{v, keystore.Version{ID: v.String(), Made: is.GetCreateTime().AsTime().Truncate(time.Second), Wraps: true}})
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	switch {
	case token != "":
		return keystore.History{}, errs.Newf(errs.Unavailable, "%s: the list has no end", doing)
	case len(all) == 0:
		return keystore.History{}, errs.Newf(errs.Denied, "%s: of %d none is enabled: enable one (gcloud kms keys versions enable)", doing, closed)
	}
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.version, b.version) })
	h := keystore.History{Lineage: k.settings.Key}
	for _, v := range all {
		h.Versions = append(h.Versions, v.Version)
	}
	return h, nil
}

// read reads the number of a version, and refuses one that is not for encryption.
func (k *Key) read(doing string, is *kmspb.CryptoKeyVersion) (version, error) {
	text, ok := strings.CutPrefix(is.GetName(), k.settings.Key+"/cryptoKeyVersions/")
	v, err := parseVersion(text)
	if !ok || err != nil || is.GetCreateTime() == nil {
		return 0, errs.Newf(errs.Unavailable, "%s: the answer names something else", doing)
	}
	switch is.GetAlgorithm() {
	case kmspb.CryptoKeyVersion_GOOGLE_SYMMETRIC_ENCRYPTION, kmspb.CryptoKeyVersion_EXTERNAL_SYMMETRIC_ENCRYPTION:
		return v, nil
	}
	return 0, errs.Newf(errs.Unsupported, "%s: the key is for %s: use one for symmetric encryption", doing, is.GetAlgorithm())
}

// call is one call: the beginning of its failure's text, and what it is about, by
// which Google routes.
type call struct{ doing, name string }

// do makes a call, and once more with a new login where Google does not take the one
// there is.
func do[T any](ctx context.Context, k *Key, c call, f func(context.Context) (T, error)) (T, error) {
	var none T
	ctx, cancel := context.WithTimeout(ctx, k.settings.timeout)
	defer cancel()
	for {
		token, err := k.login.token(ctx)
		if err != nil {
			return none, errs.Newf(errs.KindOf(err), "%s: %w", c.doing, err)
		}
		out, err := f(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token, "x-goog-request-params", "name="+url.QueryEscape(c.name)))
		if err == nil {
			return out, nil
		}
		err = classify(ctx, c.doing, err)
		var r *refusal
		if !errors.As(err, &r) || r.code != codes.Unauthenticated || !k.login.renew() {
			return none, err
		}
	}
}
