package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// MinLength is the length below which a value is not worth a search: it would
// be found by chance.
const MinLength = 12

// Set is the values to look for. It is for one goroutine.
type Set struct {
	needles []needle
	count   int
}

type needle struct {
	name, form string
	bytes      []byte
}

// Finding says where a value was found. It does not hold the value.
type Finding struct {
	Name string // of the value
	Form string // how it was encoded
	File string
	At   int // byte
}

func (f Finding) String() string {
	return fmt.Sprintf("%s, %s, is in %s at byte %d", f.Name, f.Form, f.File, f.At)
}

// Add makes value one of those to look for. It panics if the value is shorter
// than MinLength, which is a mistake of the caller's.
func (s *Set) Add(name, value string) {
	if len(value) < MinLength {
		panic(fmt.Sprintf("canary %q has fewer than %d bytes", name, MinLength))
	}
	s.count++
	forms := []needle{
		{form: "as it is", bytes: []byte(value)},
		{form: "in hexadecimal", bytes: []byte(hex.EncodeToString([]byte(value)))},
		{form: "in JSON", bytes: inJSON(value)},
		{form: "in a URL", bytes: []byte(url.QueryEscape(value))},
	}
	for shift := range 3 {
		forms = append(forms,
			needle{form: "in base64", bytes: inBase64(base64.RawStdEncoding, value, shift)},
			needle{form: "in base64 for URLs", bytes: inBase64(base64.RawURLEncoding, value, shift)})
	}
	seen := map[string]bool{}
	for _, n := range forms {
		if !seen[string(n.bytes)] {
			seen[string(n.bytes)] = true
			n.name = name
			s.needles = append(s.needles, n)
		}
	}
}

// inBase64 returns those digits that value has in an encoding of which it
// begins shift bytes after a group of three: the ones that its neighbours have
// no part in.
func inBase64(e *base64.Encoding, value string, shift int) []byte {
	digits := []byte(e.EncodeToString(append(make([]byte, shift), value...)))
	from := (shift*8 + 5) / 6
	to := (shift + len(value)) * 8 / 6
	return digits[from:to]
}

func inJSON(value string) []byte {
	b, err := json.Marshal(value)
	if err != nil {
		return []byte(value) // a string can always be encoded
	}
	return b[1 : len(b)-1]
}

// Len is the number of values.
func (s *Set) Len() int { return s.count }

// Find returns where the values are in content, once for each form of each.
func (s *Set) Find(file string, content []byte) []Finding {
	var found []Finding
	for _, n := range s.needles {
		if at := bytes.Index(content, n.bytes); at >= 0 {
			found = append(found, Finding{Name: n.name, Form: n.form, File: file, At: at})
		}
	}
	return found
}

// Search is a search through files.
type Search struct {
	Findings []Finding
	Files    int
	Bytes    int64
}

// Tree searches every regular file below dir. What is removed while it runs is
// passed over.
func (s *Set) Tree(dir string) (Search, error) {
	var r Search
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		r.Files++
		r.Bytes += int64(len(content))
		r.Findings = append(r.Findings, s.Find(path, content)...)
		return err
	})
	if err != nil {
		return r, fmt.Errorf("searching %q for secret values: %w", dir, err)
	}
	return r, nil
}
