package stored

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
)

// What an API server writes is
//
//	k8s:enc:kms:v2:NAME:    an EncryptedObject (protobuf: 1 encryptedData, 2 keyID,
//	                        3 encryptedDEKSource, 4 annotations, 5 encryptedDEKSourceType)
//	k8s:enc:kms:v1:NAME:    the wrapped key and the data; no key id
//	k8s:enc:aescbc:v1:KEY:  and aesgcm, secretbox: the data
//	anything else           the object, in the clear
//
// (k8s.io/apiserver/pkg/server/options/encryptionconfig). The provider identity
// reads all that does not begin with "k8s:enc:".
const encrypted = "k8s:enc:"

// Kind is a kind of provider.
type Kind string

// The kinds. Broken is what claims to be encrypted, and no API server can read.
const (
	Clear     Kind = "clear"
	Broken    Kind = "broken"
	KMSv1     Kind = "kms-v1"
	KMSv2     Kind = "kms-v2"
	AESCBC    Kind = "aescbc"
	AESGCM    Kind = "aesgcm"
	Secretbox Kind = "secretbox"
)

var prefixes = []struct {
	text string
	kind Kind
}{
	{"kms:v2:", KMSv2}, {"kms:v1:", KMSv1}, {"aescbc:v1:", AESCBC}, {"aesgcm:v1:", AESGCM}, {"secretbox:v1:", Secretbox},
}

// Under is what a value is encrypted with. It can be compared.
type Under struct {
	Kind  Kind
	Name  string // of the provider for KMS, of the key otherwise
	KeyID string // of KMS v2
}

// Provider is what the value was written by: "clear", or a kind and a name.
func (u Under) Provider() string {
	if u.Name == "" {
		return string(u.Kind)
	}
	return string(u.Kind) + "/" + u.Name
}

// largestName and largestKeyID bound what is taken over from a value, in bytes. The
// API server takes no longer key id.
const (
	largestName  = 253
	largestKeyID = 1024
)

// Parse tells what a value is under. Nothing of the value but names is in the answer.
func Parse(value []byte) Under {
	rest, ok := bytes.CutPrefix(value, []byte(encrypted))
	if !ok {
		return Under{Kind: Clear}
	}
	for _, p := range prefixes {
		body, ok := bytes.CutPrefix(rest, []byte(p.text))
		if !ok {
			continue
		}
		end := bytes.IndexByte(body[:min(len(body), largestName+1)], ':')
		if end <= 0 || end == len(body)-1 {
			return Under{Kind: Broken}
		}
		u := Under{Kind: p.kind, Name: string(body[:end])}
		if p.kind == KMSv2 {
			return envelope(u, body[end+1:])
		}
		return u
	}
	return Under{Kind: Broken}
}

// envelope reads the key id of an EncryptedObject, which has to have what the API
// server asks of one: data, a key id and a wrapped key.
func envelope(u Under, object []byte) Under {
	var data, source bool
	var id []byte
	whole := fields(object, func(number protowire.Number, content []byte) {
		switch number {
		case 1:
			data = len(content) > 0
		case 2:
			id = content
		case 3:
			source = len(content) > 0
		}
	})
	if !whole || !data || !source || len(id) == 0 || len(id) > largestKeyID {
		return Under{Kind: Broken, Name: u.Name}
	}
	u.KeyID = string(id)
	return u
}

// fields calls f for each field of a protobuf message that has a length, and reports
// whether the message is well formed. The last one of a number counts.
func fields(message []byte, f func(protowire.Number, []byte)) bool {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return false
		}
		message = message[n:]
		if kind == protowire.BytesType {
			content, n := protowire.ConsumeBytes(message)
			if n < 0 {
				return false
			}
			f(number, content)
			message = message[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
			return false
		}
		message = message[n:]
	}
	return true
}
