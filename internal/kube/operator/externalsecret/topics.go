package externalsecret

import (
	"context"
	"strings"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/subscribe"
)

// topics are the wishes of one ExternalSecret.
type topics struct {
	list    []subscribe.Wish
	unheard bool // of something that it reads not every change is heard of
}

// inFolder stands for whatever key there may be in a folder that is searched.
const inFolder = "x"

// topics returns the wishes of es: for each secret its topic, and for each search
// that of its folder, where the store's topics are paths. Which tags a secret has
// and what else makes it match is not in the topics, so that searches are made
// anew with the interval too. ok is false when this is not known yet.
func (r *Reconciler) topics(ctx context.Context, es *v1.ExternalSecret) (t topics, ok bool) {
	for _, w := range gather.Wants(&es.Spec) {
		store, topic, ok := r.topic(ctx, es, w.Store, w.Key)
		if !ok {
			return t, false
		}
		t.add(store, topic)
	}
	for _, s := range gather.Searches(&es.Spec) {
		store, topic, ok := r.topic(ctx, es, s.Store, strings.TrimPrefix(strings.Trim(s.Path, "/")+"/"+inFolder, "/"))
		if !ok {
			return t, false
		}
		t.add(store, folderOf(topic))
		t.unheard = true
	}
	return t, true
}

func (t *topics) add(store v1.StoreKey, topic string) {
	if topic == "" {
		t.unheard = true
		return
	}
	t.list = append(t.list, subscribe.Wish{Store: store, Topic: topic})
}

func (r *Reconciler) topic(ctx context.Context, es *v1.ExternalSecret, ref v1.SecretStoreRef, key string) (v1.StoreKey, string, bool) {
	store, err := r.store(ctx, es.Namespace, ref)
	if err != nil {
		return v1.StoreKey{}, "", false
	}
	topic, err := r.Stores.Topic(ctx, store, key)
	return v1.KeyOf(store), topic, err == nil
}

// folderOf returns the folder of the topic of inFolder, with a slash at its end;
// "" when the store has no topics, or they are no paths.
func folderOf(topic string) string {
	if folder, ok := strings.CutSuffix(topic, "/"+inFolder); ok && folder != "" {
		return folder + "/"
	}
	return ""
}
