package share

import (
	"fmt"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func request(namespace string, i int) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: fmt.Sprint(i)}}
}

// shop has workers that take from a queue, as a controller has.
type shop struct {
	share   *Share
	queue   workqueue.TypedRateLimitingInterface[reconcile.Request]
	work    func(reconcile.Request)
	groups  func(reconcile.Request) []string
	workers sync.WaitGroup
}

func open(t *testing.T, workers int, work func(reconcile.Request)) *shop {
	t.Helper()
	s := &shop{
		share: New(workers), work: work, groups: func(r reconcile.Request) []string { return []string{r.Namespace} },
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]()),
	}
	if err := s.share.Source().Start(t.Context(), s.queue); err != nil {
		t.Fatal(err)
	}
	for range workers {
		s.workers.Go(s.worker)
	}
	return s
}

func (s *shop) worker() {
	for {
		req, closed := s.queue.Get()
		if closed {
			return
		}
		if leave, ok := s.share.Enter(req, s.groups(req)...); ok {
			s.work(req)
			leave()
		}
		s.queue.Done(req)
	}
}

func (s *shop) close() {
	s.queue.ShutDown()
	s.workers.Wait()
}

// Guards every other namespace: as many objects as there are workers, and more, whose
// stores never answer do not keep others from being looked at.
func TestWhoHangsLeavesRoom(t *testing.T) {
	release, hanging, done := make(chan struct{}), make(chan struct{}, 1000), make(chan reconcile.Request, 1000)
	s := open(t, 8, func(req reconcile.Request) {
		if req.Namespace == "slow" || req.Namespace == "slow too" {
			hanging <- struct{}{}
			<-release
		}
		done <- req
	})
	for i := range 50 {
		s.queue.Add(request("slow", i))
	}
	for range 4 { // half of all
		<-hanging
	}
	for i := range 50 {
		s.queue.Add(request("slow too", i))
	}
	<-hanging // half of what is left
	<-hanging
	for i := range 50 {
		s.queue.Add(request("other", i))
	}
	for range 50 {
		if got := <-done; got.Namespace != "other" {
			t.Fatalf("%v was done", got)
		}
	}
	if len(hanging) != 0 {
		t.Errorf("%d more hang", len(hanging))
	}
	close(release)
	seen := map[reconcile.Request]int{}
	for range 100 {
		seen[<-done]++
	}
	if len(seen) != 100 {
		t.Errorf("%d of 100 that waited were done", len(seen))
	}
	s.close()
	if s.share.inside != 0 || len(s.share.running)+len(s.share.waiting)+len(s.share.listed) != 0 {
		t.Errorf("something is left: %+v", s.share)
	}
}

// One that is in several groups waits for the one that is full, such as that of a store
// that many namespaces use.
func TestSeveralGroups(t *testing.T) {
	release, hanging, done := make(chan struct{}), make(chan struct{}, 100), make(chan reconcile.Request, 100)
	s := open(t, 8, func(req reconcile.Request) {
		if req.Name == "1" {
			hanging <- struct{}{}
			<-release
		}
		done <- req
	})
	s.groups = func(r reconcile.Request) []string {
		if r.Name == "1" {
			return []string{r.Namespace, "store", "store"}
		}
		return []string{r.Namespace}
	}
	for i := range 20 {
		s.queue.Add(request(fmt.Sprint("team", i), 1))
	}
	for range 4 {
		<-hanging
	}
	for i := range 20 {
		s.queue.Add(request(fmt.Sprint("team", i), 2))
	}
	for range 20 {
		if got := <-done; got.Name != "2" {
			t.Fatalf("%v was done", got)
		}
	}
	close(release)
	for range 20 {
		<-done
	}
	s.close()
}

// What a group has grows again when others have gone: it is not served by one worker
// because all were busy when it came.
func TestGrowsAgain(t *testing.T) {
	others, mine, held := make(chan struct{}), make(chan struct{}), make(chan string, 100)
	s := open(t, 8, func(req reconcile.Request) {
		held <- req.Namespace
		if req.Namespace == "mine" {
			<-mine
		} else {
			<-others
		}
	})
	for i := range 6 {
		s.queue.Add(request(fmt.Sprint("other", i), 1))
	}
	for range 6 {
		<-held
	}
	for i := range 30 {
		s.queue.Add(request("mine", i))
	}
	if got := <-held; got != "mine" {
		t.Fatal(got)
	}
	close(others)
	for range 3 { // and three more, with nobody of mine having left
		<-held
	}
	close(mine)
	for range 26 {
		<-held
	}
	s.close()
}

// Without a queue, and without a Share, nobody waits: nobody would be woken.
func TestNobodyWaitsForNothing(t *testing.T) {
	var none *Share
	if leave, ok := none.Enter(request("a", 1), "a"); !ok {
		t.Error("refused by none")
	} else {
		leave()
	}
	s := New(1)
	for i := range 3 {
		if _, ok := s.Enter(request("a", i), "a"); !ok {
			t.Error("refused before there is a queue")
		}
	}
}
