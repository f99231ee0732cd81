package queue

// Hold calls f while the queue's lock is held.
func (q *Queue) Hold(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
}

// Strand lets a request wait that nobody looks at.
func (q *Queue) Strand(r Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, q.add(&entry{Entry: Entry{Request: r, State: Queued}}))
}
