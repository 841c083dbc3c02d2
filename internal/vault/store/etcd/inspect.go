package etcd

import (
	"context"
	"time"
)

// Health is what one endpoint of etcd tells of itself.
type Health struct {
	Endpoint string
	Err      error         // it does not answer, or does not let this user ask; what follows is zero then
	Took     time.Duration // of a linearizable read of a key that may not be there
	Version  string
	Old      bool     // older than this store works with
	Size     int64    // bytes of its file
	Quota    int64    // bytes; 0 = it does not tell
	Leader   bool     // the cluster has one
	Learner  bool     // it has no vote yet
	Alarms   []string // such as NOSPACE
}

// Inspect asks each endpoint how it is. It writes nothing. Kind Invalid: the configuration is wrong.
func Inspect(ctx context.Context, c Config) ([]Health, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	all := make([]Health, len(c.Endpoints))
	for i, endpoint := range c.Endpoints {
		all[i] = c.inspect(ctx, endpoint)
		all[i].Endpoint = endpoint
	}
	return all, nil
}

func (c *Config) inspect(ctx context.Context, endpoint string) (h Health) {
	secure, err := c.tls()
	if err != nil {
		return Health{Err: err}
	}
	client, err := c.connect(secure, []string{endpoint})
	if err != nil {
		return Health{Err: err}
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if _, err := client.Get(ctx, newKeys(c.Prefix).format); err != nil { // connects
		return Health{Err: c.refusal("asking etcd at "+endpoint, err)}
	}
	began := time.Now()
	if _, err := client.Get(ctx, newKeys(c.Prefix).format); err != nil {
		return Health{Err: c.refusal("asking etcd at "+endpoint, err)}
	}
	h.Took = time.Since(began)
	status, err := client.Status(ctx, endpoint)
	if err != nil {
		h.Err = c.refusal("asking etcd at "+endpoint+" how it is", err)
		return h
	}
	h.Version, h.Old, h.Size, h.Quota = status.Version, tooOld(status.Version), status.DbSize, status.DbSizeQuota
	h.Leader, h.Learner = status.Leader != 0, status.IsLearner
	alarms, err := client.AlarmList(ctx)
	if err != nil {
		h.Err = c.refusal("asking etcd at "+endpoint+" for its alarms", err)
		return h
	}
	for _, a := range alarms.Alarms {
		h.Alarms = append(h.Alarms, a.Alarm.String())
	}
	return h
}
