package main

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

// A server is to answer this soon after it is started, s, however it ended.
const startBound = 1.0

const (
	storedSecrets = 100_000
	starts        = 6 // every other one after kill -9
)

func startBenchmarks() []benchmark { return []benchmark{{"start-100k", startFull}} }

// startFull measures from the start of the process to the first answer to a
// read with a token, of a vault that unseals by a key, in the usual setup: TLS,
// Pebble, audit to a file. The slowest of several starts counts.
func startFull(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	v, err := newStored(ctx, b)
	if err != nil {
		return nil, err
	}
	defer func() { v.Process.Stop(10 * time.Second) }()
	if err := v.fill(ctx, b); err != nil {
		return nil, v.Process.Explain(err)
	}
	var slowest time.Duration
	for i := range starts {
		grace, how := 30*time.Second, "a stop"
		if i%2 == 1 {
			grace, how = 0, "kill -9"
		}
		if err := v.write(ctx, i); err != nil { // so that there is something to recover
			return nil, v.Process.Explain(err)
		}
		v.Process.Stop(grace)
		took, err := v.start(ctx, b, i)
		if err != nil {
			return nil, v.Process.Explain(err)
		}
		b.Say("  after %s: %d ms to the first answer", how, took.Milliseconds())
		slowest = max(slowest, took)
	}
	return []figure.Figure{figure.Within(startBound, "start-100k", slowest.Seconds(), "s")}, nil
}

// stored is a vault with many secrets, stopped and started again.
type stored struct {
	rig.Server
	keyFile string
}

// newStored initialises a vault with a key that unseals it.
func newStored(ctx context.Context, b *rig.Rig) (*stored, error) {
	return newStoredAt(ctx, b, "stored")
}

// newStoredAt is newStored with its data in a directory of this name.
func newStoredAt(ctx context.Context, b *rig.Rig, name string) (*stored, error) {
	v := &stored{keyFile: filepath.Join(b.Dir, name+".key")}
	v.Data = filepath.Join(b.Dir, name)
	if _, err := rig.Command(ctx, b.Dir, b.Binary, "operator", "unseal-key", v.keyFile); err != nil {
		return nil, err
	}
	if err := v.run(b); err != nil {
		return nil, err
	}
	if err := v.init(ctx); err != nil {
		v.Process.Stop(0)
		return nil, v.Process.Explain(err)
	}
	return v, nil
}

// run starts the process.
func (v *stored) run(b *rig.Rig) error {
	address, err := rig.FreeAddress()
	if err != nil {
		return err
	}
	v.URL = "https://" + address
	v.Process, err = b.Start("stored", b.Binary, "server", "-data-dir="+v.Data, "-listen="+address,
		"-unseal-key-file="+v.keyFile, "-log-level=warn")
	return err
}

func (v *stored) caFile() string { return filepath.Join(v.Data, "tls", "ca.pem") }

func (v *stored) init(ctx context.Context) error {
	ready := func(ctx context.Context) (err error) {
		if v.Client, err = rig.NewClient(v.URL, v.caFile(), ""); err != nil {
			return err
		}
		_, err = v.Client.Sys().InitStatusWithContext(ctx)
		return err
	}
	if err := v.Process.Await(ctx, ready); err != nil {
		return err
	}
	made, err := v.Client.Sys().InitWithContext(ctx, &vault.InitRequest{RecoveryShares: 5, RecoveryThreshold: 3})
	if err != nil {
		return err
	}
	v.Client.SetToken(made.RootToken)
	return v.Client.Sys().MountWithContext(ctx, rig.Mounted, &vault.MountInput{Type: "kv", Options: map[string]string{"version": "2"}})
}

// fill writes the secrets.
func (v *stored) fill(ctx context.Context, b *rig.Rig) error {
	b.Say("  storing %d secrets", storedSecrets)
	var done atomic.Int64
	return rig.Each(ctx, storedSecrets, func(ctx context.Context, i int) error {
		if n := done.Add(1); n%20_000 == 0 {
			b.Say("  %d of %d", n, storedSecrets)
		}
		return v.write(ctx, i)
	})
}

func (v *stored) write(ctx context.Context, i int) error {
	_, err := v.Client.KVv2(rig.Mounted).Put(ctx, name(i), rig.SecretValue(i))
	return err
}

// name spreads secrets over folders, a thousand in each.
func name(i int) string { return "team-" + strconv.Itoa(i/1000) + "/app-" + strconv.Itoa(i) }

// start measures one start of a stopped vault. Each asks for another secret.
func (v *stored) start(ctx context.Context, b *rig.Rig, n int) (time.Duration, error) {
	which := (n*7919 + 13) % storedSecrets
	return v.startWith(ctx, b, func(ctx context.Context) error {
		got, err := v.Client.KVv2(rig.Mounted).Get(ctx, name(which))
		if err != nil {
			return err
		}
		if want := rig.SecretValue(which)["password"]; got.Data["password"] != want {
			return errors.Join(errWrong, errs.Newf(errs.Internal, "secret %s came back with another value than was stored", name(which)))
		}
		return nil
	})
}

// errWrong is an answer that waiting does not make better.
var errWrong = errs.New(errs.Internal, "the answer is wrong")

// startWith measures one start, until ask has its answer.
func (v *stored) startWith(ctx context.Context, b *rig.Rig, ask func(context.Context) error) (time.Duration, error) {
	token := v.Client.Token()
	began := time.Now()
	if err := v.run(b); err != nil {
		return 0, err
	}
	var err error
	if v.Client, err = rig.NewClient(v.URL, v.caFile(), token); err != nil {
		return 0, err
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return time.Since(began), nil
		}
		if errors.Is(err, errWrong) {
			return 0, err
		}
		select {
		case <-v.Process.Done():
			return 0, err
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
		if time.Since(began) > time.Minute {
			return 0, errs.Newf(errs.Unavailable, "the server did not answer within a minute: %w", err)
		}
	}
}
