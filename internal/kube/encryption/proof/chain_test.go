package proof_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/book"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/proof"
)

// chain makes reports, each in a file.
func chain(t testing.TB, n int) (attest.Keys, [][]byte) {
	t.Helper()
	return chainOf(t, "encryption/"+uid, n)
}

// chainOf makes reports that are signed under a name.
func chainOf(t testing.TB, name string, n int) (attest.Keys, [][]byte) {
	t.Helper()
	dir := t.TempDir()
	if _, err := book.GenerateKey(filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	k, err := book.ReadKey(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	k.Name = name
	b := book.Book{Dir: dir, Signer: k}
	cfg, _ := config(t)
	var files [][]byte
	for range n {
		last, err := b.Last(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := make1(t, cfg).Encode()
		if err != nil {
			t.Fatal(err)
		}
		_, path, err := b.Add(t.Context(), last, raw)
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	keys, err := k.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return keys, files
}

func TestVerify(t *testing.T) {
	keys, f := chain(t, 4)
	for name, c := range map[string]struct {
		files [][]byte
		want  string // "" verifies
	}{
		"all":           {f, ""},
		"in disorder":   {[][]byte{f[2], f[0], f[3], f[1]}, ""},
		"not the first": {f[1:], ""},
		"one file":      {[][]byte{bytes.Join(f, nil)}, ""},
		"one missing":   {[][]byte{f[0], f[2]}, "some are missing"},
		"one twice":     {[][]byte{f[0], f[0]}, "some are missing"},
		"cut off":       {[][]byte{f[0][:len(f[0])-1]}, "cut off"},
		"empty":         {[][]byte{{}}, "cut off"},
		"none":          {nil, "there is no report"},
	} {
		got, err := proof.Verify(keys, c.files)
		if c.want == "" && (err != nil || got[len(got)-1].Seq != 4) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %d reports, %v", name, len(got), err)
		}
	}
	others, g := chain(t, 2)
	if _, err := proof.Verify(others, f); err == nil {
		t.Error("another key's reports verify")
	}
	for id, k := range others {
		keys[id] = k
	}
	if _, err := proof.Verify(keys, [][]byte{f[0], g[1]}); err == nil {
		t.Error("reports of two chains verify as one")
	}
}

// Who may append to another chain of the same engine has no report by it.
func TestOtherName(t *testing.T) {
	for _, name := range []string{"shop/db", "encryption/other", "encryption/" + uid + "/x", uid} {
		keys, f := chainOf(t, name, 1)
		if _, err := proof.Verify(keys, f); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "was signed as one of") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A signature more, which no key verifies, carries what nobody signed.
func TestAddedSignature(t *testing.T) {
	keys, f := chain(t, 1)
	envelope, err := attest.ParseEnvelope(bytes.TrimSuffix(f[0], []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	for _, all := range [][]attest.Signature{
		{envelope.Signatures[0], {KeyID: "said by somebody", Sig: []byte("x")}},
		{{KeyID: "said by somebody", Sig: []byte("x")}, envelope.Signatures[0]},
		{envelope.Signatures[0], envelope.Signatures[0]},
	} {
		more := envelope
		more.Signatures = all
		raw, err := more.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := proof.Verify(keys, [][]byte{append(raw, '\n')}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "has 2 signatures") {
			t.Errorf("%d: %v", len(all), err)
		}
	}
}

// Each byte of a file that is another is found; of its bits two, others with each byte.
func TestEveryByte(t *testing.T) {
	keys, files := chain(t, 2)
	if _, err := proof.Verify(keys, files); err != nil {
		t.Fatal(err)
	}
	file := bytes.Clone(files[1])
	for i := range file {
		for _, bit := range []byte{1 << (i % 8), 1 << ((i + 3) % 8)} {
			file[i] ^= bit
			if _, err := proof.Verify(keys, [][]byte{file}); err == nil {
				t.Fatalf("byte %d, bit %d: it verifies", i, bit)
			}
			file[i] ^= bit
		}
	}
}

func FuzzVerify(f *testing.F) {
	keys, files := chain(f, 1)
	f.Add(files[0])
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := proof.Verify(keys, [][]byte{raw}); err == nil && !bytes.Equal(raw, files[0]) {
			t.Errorf("something was verified that was never signed: %q", raw)
		}
	})
}
