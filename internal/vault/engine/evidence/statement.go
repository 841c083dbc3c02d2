package evidence

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/keypath"
)

// EventAppend is announced for each statement.
const EventAppend = "evidence/append"

// head is stored at "head/NAME": the last statement.
type head struct {
	Seq    int64  `json:"seq"`
	Turn   int64  `json:"turn"`
	Digest string `json:"digest"`
}

func entryKey(name string, turn int64) string {
	return "entry/" + name + "/" + strconv.FormatInt(turn, 10)
}

// append signs a statement and puts it at the end of its chain.
func (e *Engine) append(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	if err := checkName(name); err != nil {
		return nil, err
	}
	d := req.Decode()
	statement, turn := d.ObjectOrText("statement"), d.Int("turn", 0)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if statement == nil || turn < 1 {
		return nil, errs.New(errs.Invalid, "missing statement or turn: send {\"statement\": {…}, \"turn\": N} with N from 1")
	}
	statement = slices.Clone(statement)
	if err := statement.Compact(); err != nil {
		return nil, errs.New(errs.Invalid, "the statement is no valid JSON object")
	}
	if len(statement) > MaxStatement {
		return nil, errs.Newf(errs.TooLarge, "the statement has %d bytes, over the limit of %d", len(statement), MaxStatement)
	}
	var last head
	if _, err := get(ctx, tx, "head/"+name, &last); err != nil {
		return nil, err
	}
	if last.Seq == 0 {
		if err := free(ctx, tx, name); err != nil {
			return nil, err
		}
	}
	if turn <= last.Turn {
		return repeated(ctx, tx, attest.Entry{Name: name, Turn: turn, Statement: statement}, last)
	}
	s, err := loadState(ctx, tx)
	if err != nil {
		return nil, err
	}
	return e.sign(ctx, tx, s, attest.Entry{
		Log: e.cfg.MountID, Name: name, Seq: last.Seq + 1, Turn: turn, Time: req.Time,
		Previous: last.Digest, By: s.author(req.Caller), Statement: statement,
	})
}

// free returns Invalid if a name that begins is the path of a statement.
func free(ctx context.Context, tx engine.Tx, name string) error {
	i := strings.LastIndexByte(name, '/')
	turn, ok := number(name[i+1:])
	if !ok || i < 0 {
		return nil
	}
	raw, err := load(ctx, tx, name[:i], turn)
	if err == nil && raw != nil {
		return errs.Newf(errs.Invalid, "%q is the statement of turn %d of %q, which nobody writes to: append to statements/%s", name, turn, name[:i], name[:i])
	}
	return err
}

// sign stores entry as the last of its chain.
func (e *Engine) sign(ctx context.Context, tx engine.Tx, s state, entry attest.Entry) (*engine.Response, error) {
	_, key, err := loadKey(ctx, tx, s.Current)
	if err != nil {
		return nil, err
	}
	payload, err := entry.Payload()
	if err != nil {
		return nil, err
	}
	envelope, err := attest.Sign(key, attest.TypeEntry, payload)
	if err != nil {
		return nil, err
	}
	raw, err := envelope.Encode()
	if err != nil {
		return nil, err
	}
	tx.Put(entryKey(entry.Name, entry.Turn), raw)
	if err := put(tx, "head/"+entry.Name, head{entry.Seq, entry.Turn, attest.Digest(payload)}); err != nil {
		return nil, err
	}
	tx.Emit(engine.Event{Type: EventAppend, Path: "statements/" + entry.Name, Metadata: map[string]string{
		"operation": "append", "modified": "true", "seq": strconv.FormatInt(entry.Seq, 10), "turn": strconv.FormatInt(entry.Turn, 10),
	}})
	return answer(raw)
}

// repeated answers a statement of a turn that is over: as before if it is the same.
func repeated(ctx context.Context, tx engine.Tx, asked attest.Entry, last head) (*engine.Response, error) {
	name, turn := asked.Name, asked.Turn
	raw, err := load(ctx, tx, name, turn)
	if err != nil {
		return nil, err
	}
	if raw == nil {
		return nil, errs.Newf(errs.Conflict, "the last statement of %s is of turn %d: one of turn %d comes too late", name, last.Turn, turn)
	}
	entry, _, err := open(raw)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(entry.Statement, asked.Statement) {
		return nil, errs.Newf(errs.Exist, "turn %d of %s has another statement already: read it at statements/%s/%d", turn, name, name, turn)
	}
	return answer(raw)
}

// load returns an envelope, nil if there is none.
func load(ctx context.Context, tx engine.Tx, name string, turn int64) ([]byte, error) {
	entry, err := tx.Get(ctx, entryKey(name, turn))
	if err != nil || !entry.Exists() {
		return nil, err
	}
	return entry.Value, nil
}

// open returns what is in a stored envelope, and the ID of its key.
func open(raw []byte) (entry attest.Entry, keyID string, err error) {
	envelope, err := attest.ParseEnvelope(raw)
	if err == nil {
		keyID = envelope.Signatures[0].KeyID
		err = json.Unmarshal(envelope.Payload, &entry)
	}
	if err != nil {
		return attest.Entry{}, "", errs.New(errs.Internal, "a stored statement of an evidence engine is damaged or of a newer format")
	}
	return entry, keyID, nil
}

// answer says what a statement is, beside the envelope itself.
func answer(raw []byte) (*engine.Response, error) {
	entry, keyID, err := open(raw)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObjectSize(len(raw)+2*len(entry.Statement)).
		Str("name", entry.Name).Int("seq", entry.Seq).Int("turn", entry.Turn).Time("time", entry.Time).Str("key_id", keyID).
		Str("path", "statements/"+entry.Name+"/"+strconv.FormatInt(entry.Turn, 10)).
		Raw("statement", entry.Statement).Raw("envelope", raw).Value()}, nil
}

// read answers with the last statement of a name, or with one of them.
func (e *Engine) read(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	if err := keypath.Check(name); err != nil {
		return nil, err
	}
	i := strings.LastIndexByte(name, '/')
	if n, ok := number(name[i+1:]); ok && i > 0 {
		raw, err := load(ctx, tx, name[:i], n)
		if err != nil {
			return nil, err
		}
		if raw != nil {
			return answer(raw)
		}
	}
	var last head // of a name that may end in a number itself
	if _, err := get(ctx, tx, "head/"+name, &last); err != nil {
		return nil, err
	}
	raw, err := load(ctx, tx, name, last.Turn)
	if err != nil || raw == nil {
		return nil, err
	}
	return answer(raw)
}

// list answers with names and folders below a folder, and with the turns of a
// name.
func list(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	folder, err := keypath.Folder(req.Params["name"])
	if err != nil {
		return nil, err
	}
	return keypath.List(ctx, tx, "entry/"+folder, req)
}
