package rescue

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/storage/value"
	aestransformer "k8s.io/apiserver/pkg/storage/value/encrypt/aes"
	"k8s.io/apiserver/pkg/storage/value/encrypt/secretbox"
	v2 "k8s.io/kms/apis/v2"

	"google.golang.org/protobuf/proto"
	kmstypes "k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kms/conform"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/config"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// State is whether a value can be read.
type State string

// The states. What is NotKnown may be readable in a moment.
const (
	Readable   State = "readable"
	KeyGone    State = "key gone"
	NoProvider State = "provider missing"
	Damaged    State = "damaged"
	NotKnown   State = "not known"
)

// outcome is what became of opening a value.
type outcome struct {
	state State
	why   string        // for people; nothing of the value is in it
	plain redact.Secret // if it is Readable
}

// Keys are those that an EncryptionConfiguration names: local ones, and those of KMS v2
// by its plugins' sockets. What a plugin answered is remembered. Who made them closes
// them. They are not for concurrent use.
type Keys struct {
	file    *config.File
	plugins map[string]*plugin // by endpoint
}

// Load reads a configuration and makes its keys. Nobody is asked yet.
func Load(path string) (*Keys, error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errs.Newf(errs.NotExist, "there is no EncryptionConfiguration %s: run this on a control-plane node, or name a copy of the file with -file", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, errs.Newf(errs.Denied, "reading %s: you may not: run this as root on a control-plane node", path)
	case err != nil:
		return nil, errs.Newf(errs.Unavailable, "reading the EncryptionConfiguration: %w", err)
	}
	f, err := config.Parse(path, text)
	if err != nil {
		return nil, err
	}
	return &Keys{f, map[string]*plugin{}}, nil
}

// Close ends the connections to plugins.
func (k *Keys) Close() {
	for _, p := range k.plugins {
		_ = p.client.Close()
	}
}

// fresh are the same keys, with nothing remembered.
func (k *Keys) fresh() *Keys { return &Keys{k.file, map[string]*plugin{}} }

// open opens what lies at a key of etcd, for a resource as it is named in the file.
func (k *Keys) open(ctx context.Context, resource string, key, content []byte) outcome {
	under := stored.Parse(content)
	if under.Kind == stored.Broken {
		return outcome{state: Damaged, why: "it claims to be encrypted, and is nothing that an API server writes"}
	}
	readers := slices.DeleteFunc(k.file.Providers(resource), func(p config.Provider) bool { return !slices.Contains(p.Unders(), under.Provider()) })
	if len(readers) == 0 {
		return outcome{state: NoProvider, why: "no provider of " + resource + " in " + k.file.Place + " reads what is under " + under.Provider()}
	}
	best := outcome{}
	for i := range readers {
		o := k.by(ctx, &readers[i], under, key, content)
		if o.state == Readable {
			return o
		}
		if best.state == "" || o.state == NotKnown { // what one does not know, no other does
			best = o
		}
	}
	return best
}

// by opens a value with a provider that reads what it is under.
func (k *Keys) by(ctx context.Context, p *config.Provider, under stored.Under, key, content []byte) outcome {
	body := content
	if under.Kind != stored.Clear {
		_, body, _ = bytes.Cut(content, []byte(":"+under.Name+":"))
	}
	switch under.Kind {
	case stored.Clear:
		return judged(content, nil)
	case stored.KMSv2:
		return k.plugin(p.Endpoint).open(ctx, key, body)
	case stored.AESCBC, stored.AESGCM, stored.Secretbox:
		read, err := local(under.Kind, p.Secret(slices.Index(p.Keys, under.Name)))
		if err != nil {
			return outcome{state: NotKnown, why: "the key " + under.Name + " in " + k.file.Place + " is none"}
		}
		return judged(decrypt(ctx, read, key, body))
	}
	return outcome{state: NotKnown, why: "what KMS v1 wrote is not opened here: ask an API server for it"}
}

// decrypt is what an API server does, but for the end of it: Kubernetes' AES-CBC panics
// over one block without a plaintext.
func decrypt(ctx context.Context, with value.Read, key, body []byte) (plain []byte, err error) {
	defer func() {
		if recover() != nil {
			err = errs.New(errs.Invalid, "the value is too short")
		}
	}()
	plain, _, err = with.TransformFromStorage(ctx, body, value.DefaultContext(key))
	return plain, err
}

// local is a key that the file has.
func local(kind stored.Kind, key redact.Secret) (value.Read, error) {
	if kind == stored.Secretbox {
		if key.Len() != 32 {
			return nil, errs.New(errs.Invalid, "a key of secretbox has 32 bytes")
		}
		return secretbox.NewSecretboxTransformer([32]byte(key.Reveal())), nil
	}
	block, err := aes.NewCipher(key.Reveal())
	if err != nil {
		return nil, errs.New(errs.Invalid, "a key of AES has 16, 24 or 32 bytes")
	}
	if kind == stored.AESCBC {
		return aestransformer.NewCBCTransformer(block), nil
	}
	return gcm(block)
}

func gcm(block cipher.Block) (value.Read, error) { return aestransformer.NewGCMTransformer(block) }

// The first bytes of what API servers store (k8s.io/apimachinery/pkg/runtime/serializer):
// protobuf, and the tag of CBOR. JSON is an object.
var begins = [][]byte{[]byte("k8s\x00"), {0xd9, 0xd9, 0xf7}, []byte("{")}

// judged is the outcome of bytes that were opened, or not.
func judged(plain []byte, err error) outcome {
	if err != nil { // the library's words tell no more
		return outcome{state: Damaged, why: "the key is there, and does not open it: the value is damaged, or was written under another key of this name"}
	}
	if !slices.ContainsFunc(begins, func(b []byte) bool { return bytes.HasPrefix(plain, b) }) {
		return outcome{state: Damaged, why: "what it decrypts to is no object"}
	}
	return outcome{state: Readable, plain: redact.New(bytes.Clone(plain))}
}

// patience is how long a plugin has for an answer.
const patience = 10 * time.Second

// plugin is one of KMS v2, and what it has answered, by a hash of what it was asked.
type plugin struct {
	client *conform.Client
	bad    error // of making the client
	seeds  map[[sha256.Size]byte]seed
}

// seed is what opens values, or the outcome of not having it.
type seed struct {
	read value.Read
	outcome
}

func (k *Keys) plugin(endpoint string) *plugin {
	p, ok := k.plugins[endpoint]
	if !ok {
		p = &plugin{seeds: map[[sha256.Size]byte]seed{}}
		p.client, p.bad = conform.Dial(strings.TrimPrefix(endpoint, "unix://"))
		k.plugins[endpoint] = p
	}
	return p
}

func (p *plugin) open(ctx context.Context, key, body []byte) outcome {
	o := &kmstypes.EncryptedObject{}
	if err := proto.Unmarshal(body, o); err != nil {
		return outcome{state: Damaged, why: "it claims to be encrypted, and is nothing that an API server writes"}
	}
	s := p.seed(ctx, o)
	if s.read == nil {
		return s.outcome
	}
	return judged(decrypt(ctx, s.read, key, o.GetEncryptedData()))
}

// seed has the plugin open what an object's data is encrypted with. Each is asked for
// once.
func (p *plugin) seed(ctx context.Context, o *kmstypes.EncryptedObject) seed {
	alone := &kmstypes.EncryptedObject{KeyID: o.GetKeyID(), EncryptedDEKSource: o.GetEncryptedDEKSource(), Annotations: o.GetAnnotations(), EncryptedDEKSourceType: o.GetEncryptedDEKSourceType()}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(alone)
	if err != nil || p.bad != nil {
		return seed{outcome: outcome{state: NotKnown, why: "the plugin could not be asked"}}
	}
	hash := sha256.Sum256(raw)
	s, ok := p.seeds[hash]
	if !ok {
		s = p.ask(ctx, alone)
		p.seeds[hash] = s
	}
	return s
}

func (p *plugin) ask(ctx context.Context, o *kmstypes.EncryptedObject) seed {
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	secret, err := p.client.Decrypt(bounded, &v2.EncryptResponse{Ciphertext: o.GetEncryptedDEKSource(), KeyId: o.GetKeyID(), Annotations: o.GetAnnotations()})
	if err != nil {
		return seed{outcome: p.refusal(ctx, err)}
	}
	var read value.Read
	if o.GetEncryptedDEKSourceType() == kmstypes.EncryptedDEKSourceType_HKDF_SHA256_XNONCE_AES_GCM_SEED {
		read, err = aestransformer.NewHKDFExtendedNonceGCMTransformer(secret)
	} else {
		var block cipher.Block
		if block, err = aes.NewCipher(secret); err == nil {
			read, err = gcm(block)
		}
	}
	if err != nil {
		return seed{outcome: outcome{state: Damaged, why: "the plugin opens its key, which is none"}}
	}
	return seed{read: read}
}

// refusal says what an error of Decrypt means. Only a plugin that is well, and says so
// behind it, can say that it has no such key: NotFound, or InvalidArgument of one that
// takes what another key made for no ciphertext at all.
func (p *plugin) refusal(ctx context.Context, err error) outcome {
	kind := errs.KindOf(err)
	if kind != errs.NotExist && kind != errs.Invalid {
		return outcome{state: NotKnown, why: fmt.Sprintf("the plugin does not open it now, and does not say that the key is gone (%s): strongkeep kms doctor", kind)}
	}
	if err := p.well(ctx); err != nil {
		return outcome{state: NotKnown, why: "the plugin is not well: strongkeep kms doctor"}
	}
	return outcome{state: KeyGone, why: "the plugin is well, and has no key that opens what is under this key id"}
}

func (p *plugin) well(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a, err := p.client.Status(ctx)
	if err == nil && a.GetHealthz() != "ok" {
		err = errs.New(errs.Unavailable, "the plugin says that it is not healthy")
	}
	return err
}
