package awstest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// account is the one whose keys of KMS these are.
const account = "123456789012"

// kmsKey is a key of KMS.
type kmsKey struct {
	id, state, spec string
	made            time.Time
	materials       []cipher.AEAD // by age; all open
}

// kmsAlias is a name of one.
type kmsAlias struct {
	name, target string
	made         time.Time
}

// AddKMSKey makes a key of KMS of a spec, SYMMETRIC_DEFAULT for "", and returns its id.
func (s *Server) AddKMSKey(spec string) (id string) {
	if spec == "" {
		spec = "SYMMETRIC_DEFAULT"
	}
	s.with(func() {
		id = fmt.Sprintf("00000000-0000-4000-8000-%012x", len(s.kms)+1)
		s.kms[id] = &kmsKey{id: id, state: "Enabled", spec: spec, made: s.now()}
	})
	s.RotateKMSKey(id)
	return id
}

// KMSARN is the ARN of a key.
func KMSARN(id string) string { return "arn:aws:kms:" + Region + ":" + account + ":key/" + id }

// RotateKMSKey gives a key other material.
func (s *Server) RotateKMSKey(id string) {
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
	s.with(func() { s.kms[id].materials = append(s.kms[id].materials, aead) })
}

// SetKMSState sets that of a key, "" deletes it.
func (s *Server) SetKMSState(id, state string) {
	s.with(func() {
		if s.kms[id].state = state; state == "" {
			delete(s.kms, id)
			s.aliases = slices.DeleteFunc(s.aliases, func(a kmsAlias) bool { return a.target == id })
		}
	})
}

// SetAlias points an alias at a key, "" takes it away.
func (s *Server) SetAlias(name, id string) {
	s.with(func() {
		s.aliases = slices.DeleteFunc(s.aliases, func(a kmsAlias) bool { return a.name == name })
		if id != "" {
			s.aliases = append(s.aliases, kmsAlias{name, id, s.now()})
		}
	})
}

type kmsBody struct {
	KeyID             string `json:"KeyId"`
	Plaintext         []byte
	CiphertextBlob    []byte
	EncryptionContext map[string]string
	Marker            string
}

func (s *Server) kmsActions() map[string]func(request) (any, *failure) {
	on := func(f func(*kmsKey, kmsBody) (any, *failure)) func(request) (any, *failure) {
		return func(r request) (any, *failure) {
			var body kmsBody
			if json.Unmarshal(r.body, &body) != nil {
				return nil, refuse("SerializationException", "no JSON")
			}
			k, fail := s.kmsKey(body.KeyID)
			if fail != nil {
				return nil, fail
			}
			return f(k, body)
		}
	}
	return map[string]func(request) (any, *failure){
		"DescribeKey": on(func(k *kmsKey, _ kmsBody) (any, *failure) {
			usage := "ENCRYPT_DECRYPT"
			if strings.HasPrefix(k.spec, "HMAC") {
				usage = "GENERATE_VERIFY_MAC"
			}
			return map[string]any{"KeyMetadata": map[string]any{
				"KeyId": k.id, "Arn": KMSARN(k.id), "AWSAccountId": account, "KeyState": k.state, "KeySpec": k.spec, "KeyUsage": usage,
				"CreationDate": float64(k.made.UnixMilli()) / 1000, "Enabled": k.state == "Enabled",
			}}, nil
		}),
		"Encrypt": on(func(k *kmsKey, b kmsBody) (any, *failure) {
			if fail := k.usable(); fail != nil {
				return nil, fail
			}
			if len(b.Plaintext) == 0 || len(b.Plaintext) > 4096 {
				return nil, refuse("ValidationException", "canary: "+string(b.Plaintext))
			}
			last := len(k.materials) - 1
			head := append([]byte(k.id), byte(last))
			return map[string]any{"KeyId": KMSARN(k.id), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
				"CiphertextBlob": k.materials[last].Seal(head, nil, b.Plaintext, sealedTo(head, b.EncryptionContext))}, nil
		}),
		"Decrypt":     on(s.kmsDecrypt),
		"ListAliases": s.listAliases,
	}
}

// sealedTo is what a ciphertext is bound to: JSON has its members in order.
func sealedTo(head []byte, of map[string]string) []byte {
	raw, err := json.Marshal(of)
	if err != nil {
		panic(err)
	}
	return append(slices.Clone(head), raw...)
}

func (s *Server) kmsDecrypt(k *kmsKey, b kmsBody) (any, *failure) {
	const id = 36
	bad := refuse("InvalidCiphertextException", "")
	if len(b.CiphertextBlob) <= id {
		return nil, bad
	}
	head := b.CiphertextBlob[:id+1]
	switch other, ok := s.kms[string(head[:id])]; {
	case !ok:
		return nil, bad
	case other != k:
		return nil, refuse("IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
	}
	if fail := k.usable(); fail != nil {
		return nil, fail
	}
	if int(head[id]) >= len(k.materials) {
		return nil, bad
	}
	plain, err := k.materials[head[id]].Open(nil, nil, b.CiphertextBlob[id+1:], sealedTo(head, b.EncryptionContext))
	if err != nil {
		return nil, bad
	}
	return map[string]any{"KeyId": KMSARN(k.id), "Plaintext": plain, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}, nil
}

func (k *kmsKey) usable() *failure {
	switch {
	case k.state == "Disabled":
		return refuse("DisabledException", KMSARN(k.id)+" is disabled.")
	case k.state == "PendingDeletion":
		return refuse("KMSInvalidStateException", KMSARN(k.id)+" is pending deletion.")
	case k.state != "Enabled":
		return refuse("KMSInvalidStateException", KMSARN(k.id)+" is "+k.state+".")
	case k.spec != "SYMMETRIC_DEFAULT":
		return refuse("InvalidKeyUsageException", KMSARN(k.id)+" is not for that.")
	}
	return nil
}

// kmsKey finds a key by its id, its ARN or an alias.
func (s *Server) kmsKey(name string) (*kmsKey, *failure) {
	arn := strings.HasPrefix(name, "arn:")
	id := strings.TrimPrefix(name, "arn:aws:kms:"+Region+":"+account+":")
	if strings.HasPrefix(id, "alias/") {
		for _, a := range s.aliases {
			if a.name == id {
				return s.kms[a.target], nil
			}
		}
		return nil, refuse("NotFoundException", "Alias "+name+" is not found.")
	}
	if arn {
		id = strings.TrimPrefix(id, "key/")
	}
	if k := s.kms[id]; k != nil {
		return k, nil
	}
	return nil, refuse("NotFoundException", "Key '"+name+"' does not exist")
}

// listAliases lists two at a time.
func (s *Server) listAliases(r request) (any, *failure) {
	var body kmsBody
	if json.Unmarshal(r.body, &body) != nil {
		return nil, refuse("SerializationException", "no JSON")
	}
	from, _ := strconv.Atoi(body.Marker)
	if from > 0 && s.lose {
		return nil, refuse("KMSInternalException", "lost")
	}
	list := []any{}
	to := min(from+2, len(s.aliases))
	for _, a := range s.aliases[from:to] {
		at := float64(a.made.UnixMilli()) / 1000
		list = append(list, map[string]any{"AliasName": a.name, "AliasArn": "arn:aws:kms:" + Region + ":" + account + ":" + a.name, "TargetKeyId": a.target, "CreationDate": at, "LastUpdatedDate": at})
	}
	out := map[string]any{"Aliases": list, "Truncated": to < len(s.aliases)}
	if to < len(s.aliases) {
		out["NextMarker"] = strconv.Itoa(to)
	}
	return out, nil
}
