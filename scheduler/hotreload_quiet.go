package scheduler

import "sync"

// quiet are the services whose containers a hot reload stops and starts: its line tells
// that, progress would only hide it.
type quiet struct {
	mu       sync.Mutex
	services map[string]int
}

// during notes services until the function that it returns is called.
func (q *quiet) during(services []string) (over func()) {
	q.add(services, 1)
	return func() { q.add(services, -1) }
}

func (q *quiet) add(services []string, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.services == nil {
		q.services = map[string]int{}
	}
	for _, s := range services {
		if q.services[s] += n; q.services[s] == 0 {
			delete(q.services, s)
		}
	}
}

func (q *quiet) has(service string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.services[service] > 0
}
