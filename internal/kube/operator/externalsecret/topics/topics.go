package topics

import (
	"context"
	"strings"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/subscribe"
)

// Topics are the wishes of one ExternalSecret.
type Topics struct {
	List    []subscribe.Wish
	Unheard bool // of something that it reads not every change is heard of
}

// Ask returns under which topic a store tells of changes of key; ok is false when
// this is not known yet.
type Ask func(ctx context.Context, ref v1.SecretStoreRef, key string) (store v1.StoreKey, topic string, ok bool)

// inFolder stands for whatever key there may be in a folder that is searched.
const inFolder = "x"

// Of returns the wishes of es: for each secret its topic, and for each search
// that of its folder, where the store's topics are paths. Which tags a secret has
// and what else makes it match is not in the topics, so that searches are made
// anew with the interval too. ok is false when this is not known yet.
func Of(ctx context.Context, es *v1.ExternalSecret, ask Ask) (t Topics, ok bool) {
	for _, w := range gather.Wants(&es.Spec) {
		store, topic, ok := ask(ctx, w.Store, w.Key)
		if !ok {
			return t, false
		}
		t.add(store, topic)
	}
	for _, s := range gather.Searches(&es.Spec) {
		store, topic, ok := ask(ctx, s.Store, strings.TrimPrefix(strings.Trim(s.Path, "/")+"/"+inFolder, "/"))
		if !ok {
			return t, false
		}
		t.add(store, folderOf(topic))
		t.Unheard = true
	}
	return t, true
}

func (t *Topics) add(store v1.StoreKey, topic string) {
	if topic == "" {
		t.Unheard = true
		return
	}
	t.List = append(t.List, subscribe.Wish{Store: store, Topic: topic})
}

// folderOf returns the folder of the topic of inFolder, with a slash at its end;
// "" when the store has no topics, or they are no paths.
func folderOf(topic string) string {
	if folder, ok := strings.CutSuffix(topic, "/"+inFolder); ok && folder != "" {
		return folder + "/"
	}
	return ""
}
