package repo

import (
	"bytes"
	"encoding/asn1"
)

// first are the bytes that archives, key stores and databases begin with: files that are no
// text, and in which secrets may lie that nobody looks for here.
var first = [][]byte{
	[]byte("PK\x03\x04"), []byte("PK\x07\x08"), // zip, jar, docx
	[]byte("\x1f\x8b"), []byte("\x1f\x9d"), []byte("BZh"), []byte("\xfd7zXZ\x00"), []byte("\x28\xb5\x2f\xfd"), []byte("\x04\x22\x4d\x18"), // gzip, compress, bzip2, xz, zstd, lz4
	[]byte("7z\xbc\xaf\x27\x1c"), []byte("Rar!\x1a\x07"), []byte("!<arch>\n"), []byte("\xed\xab\xee\xdb"), []byte("070701"), []byte("070702"), // 7z, rar, deb, rpm, cpio
	[]byte("PACK\x00\x00\x00"), []byte("# v2 git bundle\n"), []byte("# v3 git bundle\n"),
	[]byte("\xfe\xed\xfe\xed"), []byte("\xce\xce\xce\xce"), // JKS, JCEKS
	[]byte("\x00\x00\x00\x01\x00\x00\x00\x14"), []byte("\x00\x00\x00\x02\x00\x00\x00\x14"), // BKS: version, length of the salt
	[]byte("\x03\xd9\xa2\x9a"), []byte("SQLite format 3\x00"), // KeePass
}

// closed reports whether a file that is no text may hold some: an archive, a key store, a
// private key in DER, a database.
func closed(raw []byte) bool {
	for _, begin := range first {
		if bytes.HasPrefix(raw, begin) {
			return true
		}
	}
	const mark = 257 // of tar, POSIX.1-1988
	return len(raw) > mark && bytes.HasPrefix(raw[mark:], []byte("ustar")) || secretDER(raw)
}

// The encrypted forms of PKCS #8: PBES of PKCS #5 (1.2.840.113549.1.5) and #12 (…1.12).
var encryptions = [][]byte{{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05}, {0x06, 0x0a, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c}}

// secretDER reports whether raw begins as a PKCS #12 store or a private key does: a sequence
// that begins with its version (0 and 1 of PKCS #8 and #1, 1 of SEC 1, 3 of PKCS #12), or
// with the algorithm of its encryption. Certificates and requests begin otherwise.
func secretDER(raw []byte) bool {
	const indefinite = "\x30\x80" // BER, as some make PKCS #12
	if bytes.HasPrefix(raw, []byte(indefinite)) {
		return bytes.HasPrefix(raw[len(indefinite):], []byte("\x02\x01\x03"))
	}
	var outer, inner asn1.RawValue
	if _, err := asn1.Unmarshal(raw, &outer); err != nil || outer.Tag != asn1.TagSequence || !outer.IsCompound {
		return false
	}
	if _, err := asn1.Unmarshal(outer.Bytes, &inner); err != nil {
		return false
	}
	switch inner.Tag {
	case asn1.TagInteger:
		return len(inner.Bytes) == 1 && (inner.Bytes[0] <= 1 || inner.Bytes[0] == 3)
	case asn1.TagSequence:
		return bytes.HasPrefix(inner.Bytes, encryptions[0]) || bytes.HasPrefix(inner.Bytes, encryptions[1])
	}
	return false
}

// pointer reports whether a file is one of Git LFS: its content lies on a server. The second
// is what it was called before (git-lfs/git-lfs, "Git LFS Specification", The Pointer).
func pointer(raw []byte) bool {
	const longest = 1024
	return len(raw) < longest && (bytes.HasPrefix(raw, []byte("version https://git-lfs.github.com/spec/")) || bytes.HasPrefix(raw, []byte("version https://hawser.github.com/spec/")))
}
