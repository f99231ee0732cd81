package serve_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkWebhook is a signed webhook, from the request to its 202, which comes when
// it is on disk. At 200 a second, as many as there are: p99-ms.
func BenchmarkWebhook(b *testing.B) {
	s, q := openFor(b, 1_000_000)
	if err := q.Pause("the benchmark"); err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	const rate = 200
	var mu sync.Mutex
	var took []time.Duration
	var under sync.WaitGroup
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for i := 0; b.Loop(); i++ {
		<-tick.C
		body := fmt.Sprintf(`{"push": {"ref": "mepc/app:%d"}}`, i)
		req, err := http.NewRequest("POST", s.URL+"/webhooks/shop", bytes.NewReader([]byte(body)))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("X-Hub-Signature-256", sign(body))
		req.Header.Set("X-GitHub-Delivery", fmt.Sprint(i))
		under.Go(func() {
			start := time.Now()
			res, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.StatusCode != http.StatusAccepted {
				b.Errorf("status %d", res.StatusCode)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(start))
		})
	}
	under.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
}
