package rewrite

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// NoteName is that of the ConfigMap.
const NoteName = "strongkeep-rewrite"

// noteKey has the note as JSON. Its token holds the name of an object.
const noteKey = "state.json"

// note is where a run stands, after a page. One that cannot be read is as none: then
// all is done from the beginning.
type note struct {
	Resources     []string  `json:"resources"`
	Started       time.Time `json:"started"`
	Configuration string    `json:"configuration"`
	At            int       `json:"at"`       // index of the resource
	Continue      string    `json:"continue"` // the API server's token; "" = its beginning
	Total         int       `json:"total"`
	// Migration that has the resource; "" for none.
	Migration types.UID `json:"migration,omitempty"`
	Counts    `json:",inline"`
}

func (a *api) readNote(ctx context.Context, namespace string) (*note, error) {
	m, err := a.set.CoreV1().ConfigMaps(namespace).Get(ctx, NoteName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, explain(err, "reading the note "+namespace+"/"+NoteName)
	}
	n := &note{}
	if json.Unmarshal([]byte(m.Data[noteKey]), n) != nil || n.At < 0 || n.At > len(n.Resources) {
		return nil, nil
	}
	return n, nil
}

// writeNote writes it whatever is there: two runs at once do no harm, and each goes
// on by its own.
func (a *api) writeNote(ctx context.Context, namespace string, n *note) error {
	raw, err := json.Marshal(n)
	if err != nil {
		return err
	}
	data := map[string]string{noteKey: string(raw)}
	body, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return err
	}
	maps := a.set.CoreV1().ConfigMaps(namespace)
	_, err = maps.Patch(ctx, NoteName, types.MergePatchType, body, metav1.PatchOptions{FieldManager: Manager})
	if apierrors.IsNotFound(err) {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: NoteName}, Data: data}
		_, err = maps.Create(ctx, m, metav1.CreateOptions{FieldManager: Manager})
	}
	if err != nil {
		return explain(err, "writing the note "+namespace+"/"+NoteName)
	}
	return nil
}

func (a *api) deleteNote(ctx context.Context, namespace string) error {
	err := a.set.CoreV1().ConfigMaps(namespace).Delete(ctx, NoteName, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return explain(err, "deleting the note "+namespace+"/"+NoteName)
	}
	return nil
}
