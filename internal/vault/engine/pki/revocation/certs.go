package revocation

import (
	"context"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/keypair"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/ledger"
)

// listCerts lists serial numbers, in the store's order: a page costs what it holds.
func listCerts(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	after, limit := d.String("after", ""), d.Int("limit", 0)
	if err := d.Err(); err != nil {
		return nil, err
	}
	var from ledger.Serial
	if after != "" {
		var err error
		if from, err = ledger.ParseSerial(after); err != nil {
			return nil, err
		}
	}
	names, err := tx.List(ctx, ledger.Certs, string(from), int(max(0, min(limit, 1<<30))))
	return serials(names), err
}

func serials(names []string) *engine.Response {
	if len(names) == 0 {
		return nil
	}
	keys := make([]string, 0, len(names))
	for _, name := range names {
		keys = append(keys, ledger.Serial(name).Colons())
	}
	return &engine.Response{Data: engine.NewObjectSize(64*len(keys)).Strs("keys", keys).Value()}
}

func listRevoked(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	auths, err := folders(ctx, tx, ledger.Revoked)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, auth := range auths {
		names, err := tx.List(ctx, ledger.Revoked+auth+"/", "", 0)
		if err != nil {
			return nil, err
		}
		all = append(all, names...)
	}
	return serials(all), nil
}

func lookup(ctx context.Context, tx engine.Tx, req *engine.Request) (*ledger.Record, ledger.Serial, error) {
	serial, err := ledger.ParseSerial(req.Params["serial"])
	if err != nil {
		return nil, "", err
	}
	record, err := ledger.Load(ctx, tx, serial)
	return record, serial, err
}

func readCert(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	record, serial, err := lookup(ctx, tx, req)
	if err != nil || record == nil {
		return nil, err
	}
	r, err := ledger.LoadRevocation(ctx, tx, record.Authority, serial)
	if err != nil {
		return nil, err
	}
	at, text := int64(0), ""
	if r != nil {
		at, text = r.At.Unix(), r.At.Format(time.RFC3339Nano)
	}
	issuer, err := issuerOf(ctx, tx, record.Authority)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObjectSize(2048).
		Str("certificate", record.PEM()).Str("issuer_id", issuer).
		Int("revocation_time", at).Str("revocation_time_rfc3339", text).Value()}, nil
}

// issuerOf names an issuer of the authority, "" if there is none any more.
func issuerOf(ctx context.Context, tx engine.Tx, auth string) (string, error) {
	all, err := authority.All(ctx, tx)
	if err != nil {
		return "", err
	}
	id := ""
	for _, i := range all {
		if i.Authority == auth && (id == "" || strings.Compare(i.ID, id) < 0) {
			id = i.ID
		}
	}
	return id, nil
}

func rawCert(pem bool) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		record, _, err := lookup(ctx, tx, req)
		if err != nil {
			return nil, err
		}
		switch {
		case record == nil:
			return &engine.Response{Raw: &engine.Raw{Status: 404, ContentType: "application/pkix-cert"}}, nil
		case pem:
			return &engine.Response{Raw: &engine.Raw{Status: 200, ContentType: "application/pem-certificate-chain", Body: []byte(keypair.PEM("CERTIFICATE", record.DER))}}, nil
		}
		return &engine.Response{Raw: &engine.Raw{Status: 200, ContentType: "application/pkix-cert", Body: record.DER}}, nil
	}
}
