package custom

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/strongkeep/strongkeep/internal/cron"
)

// scheduled is the longest time between two turns of a Rotation: of interval, maxAge
// and cron the first to come begins one. 0 without any.
func scheduled(o *unstructured.Unstructured) time.Duration {
	shortest := time.Duration(0)
	for _, d := range []time.Duration{
		span(textAt(o.Object, "spec.schedule.interval")), span(textAt(o.Object, "spec.schedule.maxAge")),
		longest(textAt(o.Object, "spec.schedule.cron"), textAt(o.Object, "spec.schedule.timeZone")),
	} {
		if d > 0 && (shortest == 0 || d < shortest) {
			shortest = d
		}
	}
	return shortest
}

// longest is the longest time between two firings of a cron expression, 0 of one that
// is none or never fires. It does not depend on today.
func longest(text, zone string) time.Duration {
	if text == "" {
		return 0
	}
	c, err := cron.Parse(text, zone)
	if err != nil {
		return 0
	}
	_, gap := c.Gaps()
	return gap
}
