package evidence_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
	"github.com/strongkeep/strongkeep/internal/vault/engine/evidence"
)

func TestConformance(t *testing.T) {
	enginetest.Run(t, enginetest.Suite{Factory: evidence.New, Steps: []enginetest.Step{
		{Op: engine.Update, Path: "statements/shop/db", Body: `{"turn":1,"statement":{"x":"` + enginetest.Canary + `"}}`, Reveals: true},
		{Op: engine.Update, Path: "statements/shop/db", Body: `{"turn":1,"statement":{"x":"` + enginetest.Canary + `"}}`, Reveals: true},
		{Op: engine.Update, Path: "statements/shop/db", Body: `{"turn":1,"statement":{"x":"other"}}`, Fails: errs.Exist},
		{Op: engine.Update, Path: "statements/shop/db", Body: `{"turn":5,"statement":{}}`},
		{Op: engine.Update, Path: "statements/shop/db", Body: `{"turn":4,"statement":{}}`, Fails: errs.Conflict},
		{Op: engine.Update, Path: "statements/7", Body: `{"turn":1,"statement":{}}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "statements/../db", Body: `{"turn":1,"statement":{}}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "statements/shop/db", Body: `{"turn":6}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "statements/shop/db", Body: `{"statement":{}}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "statements/shop/db", Body: `{"turn":6,"statement":[]}`, Fails: errs.Invalid},
		{Op: engine.Read, Path: "statements/shop/db/1", Reveals: true},
		{Op: engine.Read, Path: "statements/shop/db"},
		{Op: engine.Read, Path: "statements/shop/none"},
		{Op: engine.List, Path: "statements/shop/"},
		{Op: engine.List, Path: "statements/"},
		{Op: engine.Update, Path: "keys/rotate"},
		{Op: engine.Read, Path: "keys"},
		{Op: engine.Update, Path: "statements/shop/db", Body: `{"turn":6,"statement":{}}`},
	}})
}

type answer struct {
	Name, Path string
	Seq, Turn  int64
	Time       time.Time
	KeyID      string `json:"key_id"`
	Statement  json.RawMessage
	Envelope   json.RawMessage
}

// do sends a request that must succeed; no answer is the zero one.
func do(t *testing.T, h *enginetest.Harness, op engine.Operation, path, body string) (a answer) {
	t.Helper()
	res, err := h.Do(op, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", op, path, err)
	}
	if res != nil {
		if err := json.Unmarshal(res.Data, &a); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func statement(turn int) string {
	return fmt.Sprintf(`{"turn":%d,"statement":{"schema":"x", "turn" : %d}}`, turn, turn)
}

type keys struct {
	Log        string
	Current    int
	CurrentID  string `json:"current_id"`
	PublicKeys string `json:"public_keys"`
	Keys       map[string]struct {
		ID          string
		PublicKey   string `json:"public_key"`
		Created     time.Time
		Endorsement json.RawMessage
	}
}

func readKeys(t *testing.T, h *enginetest.Harness) (k keys) {
	t.Helper()
	res, err := h.Do(engine.Read, "keys", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(res.Data, &k); err != nil {
		t.Fatal(err)
	}
	return k
}

// A chain over a rotation of the key verifies without the vault, with all keys
// and with the first alone and the endorsements.
func TestChainVerifiesOffline(t *testing.T) {
	h := enginetest.New(t, evidence.New)
	for _, turn := range []int{1, 2, 5} {
		do(t, h, engine.Update, "statements/shop/db", statement(turn))
		h.Advance(time.Minute)
	}
	first := readKeys(t, h)
	do(t, h, engine.Update, "keys/rotate", "")
	do(t, h, engine.Update, "keys/rotate", "")
	do(t, h, engine.Update, "statements/shop/other", statement(1))
	do(t, h, engine.Update, "statements/shop/db", statement(9))

	var envelopes [][]byte
	for i, turn := range []int64{1, 2, 5, 9} {
		a := do(t, h, engine.Read, fmt.Sprintf("statements/shop/db/%d", turn), "")
		if a.Seq != int64(i+1) || a.Turn != turn || a.Name != "shop/db" || a.Path != fmt.Sprintf("statements/shop/db/%d", turn) {
			t.Errorf("%+v", a)
		}
		envelopes = append(envelopes, a.Envelope)
	}
	last := readKeys(t, h)
	if last.Current != 3 || len(last.Keys) != 3 || last.CurrentID != last.Keys["3"].ID || last.Keys["1"].Endorsement != nil || first.CurrentID != last.Keys["1"].ID {
		t.Errorf("%+v", last)
	}
	all, err := attest.ParseKeys([]byte(last.PublicKeys))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := attest.VerifyChain(all, envelopes)
	if err != nil {
		t.Fatal(err)
	}
	if chain[3].Turn != 9 || chain[3].KeyID != last.CurrentID || chain[2].KeyID != first.CurrentID || string(chain[2].Statement) != `{"schema":"x","turn":5}` ||
		!chain[1].Time.Equal(chain[0].Time.Add(time.Minute)) || chain[0].Log != last.Log {
		t.Errorf("%+v", chain)
	}
	pinned, err := attest.ParseKeys([]byte(first.PublicKeys))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attest.VerifyChain(pinned, envelopes); err == nil {
		t.Error("a key that nobody endorsed yet is trusted")
	}
	for _, n := range []string{"2", "3"} {
		if err := pinned.Extend(last.Log, last.Keys[n].Endorsement); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := attest.VerifyChain(pinned, envelopes); err != nil {
		t.Error(err)
	}
}

// Who says so is in the statement, and no accessor or token.
func TestAuthor(t *testing.T) {
	h := enginetest.New(t, evidence.New)
	by := func(accessor string) func(*engine.Request) {
		return func(r *engine.Request) {
			r.Caller = engine.Caller{DisplayName: "kubernetes-operator", EntityID: "e1", Accessor: accessor, TokenKey: "tokenkey", Metadata: map[string]string{"service_account_name": "operator"}}
		}
	}
	var macs []string
	for i, accessor := range []string{"acc-1", "acc-1", "acc-2"} {
		res, err := h.Do(engine.Update, "statements/a/b", statement(i+1), by(accessor))
		if err != nil {
			t.Fatal(err)
		}
		var a answer
		if err := json.Unmarshal(res.Data, &a); err != nil {
			t.Fatal(err)
		}
		keys, _ := attest.ParseKeys([]byte(readKeys(t, h).PublicKeys))
		v, err := attest.Verify(keys, a.Envelope)
		if err != nil {
			t.Fatal(err)
		}
		if v.By.DisplayName != "kubernetes-operator" || v.By.EntityID != "e1" || v.By.Metadata["service_account_name"] != "operator" {
			t.Errorf("%+v", v.By)
		}
		macs = append(macs, v.By.Accessor)
		if payload, _ := v.Payload(); strings.Contains(string(payload), "acc-") || strings.Contains(string(payload), "tokenkey") {
			t.Errorf("%s", payload)
		}
	}
	if macs[0] == "" || macs[0] != macs[1] || macs[1] == macs[2] {
		t.Errorf("%q", macs)
	}
}

// The same again is the same; anything else of that turn, or before it, is not taken.
func TestOncePerTurn(t *testing.T) {
	h := enginetest.New(t, evidence.New)
	one := do(t, h, engine.Update, "statements/shop/db", statement(3))
	h.Advance(time.Hour)
	h.Events()
	again := do(t, h, engine.Update, "statements/shop/db", `{"turn":"3","statement":{"schema":"x","turn":3}}`)
	if string(one.Envelope) != string(again.Envelope) || len(h.Events()) != 0 {
		t.Error("the same statement gave another answer, or an event")
	}
	for _, tc := range []struct {
		body string
		kind errs.Kind
		text string
	}{
		{`{"turn":3,"statement":{"schema":"x","turn":4}}`, errs.Exist, "statements/shop/db/3"},
		{`{"turn":2,"statement":{"schema":"x","turn":3}}`, errs.Conflict, "too late"},
		{`{"turn":0,"statement":{}}`, errs.Invalid, "N from 1"},
		{`{"turn":4,"statement":"x"}`, errs.Invalid, "object"},
		{`{"turn":4,"statement":{"x":"` + strings.Repeat("x", evidence.MaxStatement) + `"}}`, errs.TooLarge, "over the limit"},
	} {
		if _, err := h.Do(engine.Update, "statements/shop/db", tc.body); errs.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%.60s: %v", tc.body, err)
		}
	}
	if a := do(t, h, engine.Read, "statements/shop/db", ""); a.Seq != 1 || string(a.Envelope) != string(one.Envelope) {
		t.Errorf("refused statements left something: %+v", a)
	}
}

// The largest statement fits into the store, whatever is in it.
func TestLargest(t *testing.T) {
	h := enginetest.New(t, evidence.New)
	body := `{"turn":1,"statement":{"x":"` + strings.Repeat("x", evidence.MaxStatement-8) + `"}}`
	a := do(t, h, engine.Update, "statements/shop/db", body)
	if len(a.Statement) != evidence.MaxStatement {
		t.Errorf("%d bytes", len(a.Statement))
	}
}

func TestReads(t *testing.T) {
	h := enginetest.New(t, evidence.New)
	for _, turn := range []int{2, 4} {
		do(t, h, engine.Update, "statements/shop/db", statement(turn))
	}
	do(t, h, engine.Update, "statements/shop", statement(7))
	for _, tc := range []struct {
		path, body string
		turn       int64
	}{
		{"statements/shop/db", "", 4}, {"statements/shop/db/2", "", 2}, {"statements/shop/db/4", "", 4}, {"statements/shop/db/3", "", 0},
		{"statements/shop", "", 7}, {"statements/shop/7", "", 7}, {"statements/shop/1", "", 0},
		{"statements/shop/db/04", "", 0}, {"statements/shop/db/0", "", 0}, {"statements/none", "", 0}, {"statements/7", "", 0},
	} {
		if a := do(t, h, engine.Read, tc.path, tc.body); a.Turn != tc.turn {
			t.Errorf("%s %s: turn %d, want %d", tc.path, tc.body, a.Turn, tc.turn)
		}
	}
	for path, want := range map[string]string{
		"statements/": `{"keys":["shop/"]}`, "statements/shop/": `{"keys":["7","db/"]}`, "statements/shop/db/": `{"keys":["2","4"]}`,
	} {
		res, err := h.Do(engine.List, path, "")
		if err != nil || string(res.Data) != want {
			t.Errorf("%s: %s, %v", path, res.Data, err)
		}
	}
}

// A name may end in a number, as that of a Rotation may: its statements are read
// like those of others, and so are the turns of a name before it.
func TestNumericName(t *testing.T) {
	h := enginetest.New(t, evidence.New)
	for _, turn := range []int{1, 2} {
		do(t, h, engine.Update, "statements/shop/7", statement(turn))
	}
	for path, turn := range map[string]int64{"statements/shop/7": 2, "statements/shop/7/1": 1, "statements/shop/7/2": 2, "statements/shop/7/7": 0, "statements/shop/8": 0} {
		if a := do(t, h, engine.Read, path, ""); a.Turn != turn || turn > 0 && a.Name != "shop/7" {
			t.Errorf("%s: turn %d of %q, want %d", path, a.Turn, a.Name, turn)
		}
	}
	do(t, h, engine.Update, "statements/shop", statement(7)) // whose turn 7 has that path too
	for path, name := range map[string]string{"statements/shop/7": "shop", "statements/shop/7/2": "shop/7", "statements/shop": "shop"} {
		if a := do(t, h, engine.Read, path, ""); a.Name != name {
			t.Errorf("%s is of %q, want %q", path, a.Name, name)
		}
	}
	if a := do(t, h, engine.Update, "statements/shop/7", statement(3)); a.Name != "shop/7" || a.Seq != 3 {
		t.Errorf("the chain goes on with number %d of %q", a.Seq, a.Name)
	}
}

// Nothing changes or removes a statement: there is no route for it, for anybody.
func TestAppendOnly(t *testing.T) {
	h := enginetest.New(t, evidence.New)
	do(t, h, engine.Update, "statements/shop/db", statement(1))
	root := func(r *engine.Request) { r.Caller = engine.Caller{TokenKey: "k", Root: true, Sudo: true} }
	for _, path := range []string{"statements/shop/db", "statements/shop/db/1", "statements/", "keys", "keys/1", "keys/rotate"} {
		for _, op := range []engine.Operation{engine.Delete, engine.Patch} {
			if _, err := h.Do(op, path, "{}", root); err == nil {
				t.Errorf("%s %s succeeded", op, path)
			}
		}
	}
	if _, err := h.Do(engine.Update, "statements/shop/db/1", statement(2), root); errs.KindOf(err) != errs.Invalid {
		t.Errorf("writing to a statement: %v", err)
	}
	// Neither do the private halves of keys come out, nor into logs.
	answers := h.Logs()
	for path := range map[string]bool{"keys": true, "statements/shop/db": true} {
		res, err := h.Do(engine.Read, path, "")
		if err != nil {
			t.Fatal(err)
		}
		answers += string(res.Data)
	}
	for key, stored := range h.Stored(t) {
		var secret struct{ Seed, Accessor string }
		if !strings.HasPrefix(key, "key/") && key != "state" {
			continue
		}
		if err := json.Unmarshal([]byte(stored), &secret); err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{secret.Seed, secret.Accessor} {
			if s != "" && strings.Contains(answers, s) {
				t.Errorf("%s came out", key)
			}
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	h := enginetest.New(b, evidence.New)
	pad := strings.Repeat("x", 40<<10) // some 200 pods
	b.ReportAllocs()
	turn := 0
	for b.Loop() {
		turn++
		if _, err := h.Do(engine.Update, "statements/shop/db", fmt.Sprintf(`{"turn":%d,"statement":{"x":"%s"}}`, turn, pad)); err != nil {
			b.Fatal(err)
		}
	}
}
