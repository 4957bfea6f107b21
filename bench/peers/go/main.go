// A hub as one writes it with Go's standard library: one goroutine and one channel per stream.
//
// GET /stream?topic=x streams, POST /publish?topic=x delivers the body to every stream of x. No history; a
// stream whose channel is full misses the event.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
)

const waitingEvents = 256

type hub struct {
	sync.RWMutex
	topics map[string]map[chan []byte]struct{}
}

func (h *hub) join(topic string) chan []byte {
	events := make(chan []byte, waitingEvents)
	h.Lock()
	defer h.Unlock()
	if h.topics[topic] == nil {
		h.topics[topic] = map[chan []byte]struct{}{}
	}
	h.topics[topic][events] = struct{}{}
	return events
}

func (h *hub) leave(topic string, events chan []byte) {
	h.Lock()
	defer h.Unlock()
	delete(h.topics[topic], events)
	if len(h.topics[topic]) == 0 {
		delete(h.topics, topic)
	}
}

func (h *hub) publish(topic string, frame []byte) {
	h.RLock()
	defer h.RUnlock()
	for events := range h.topics[topic] {
		select {
		case events <- frame:
		default:
		}
	}
}

func main() {
	h := &hub{topics: map[string]map[chan []byte]struct{}{}}
	number := 0
	var numbering sync.Mutex
	http.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {})
	http.HandleFunc("/publish", func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		numbering.Lock()
		number++
		frame := []byte(fmt.Sprintf("event: progress\nid: go-%d\ndata: %s\n\n", number, data))
		numbering.Unlock()
		h.publish(r.URL.Query().Get("topic"), frame)
		w.WriteHeader(http.StatusNoContent)
	})
	http.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		topic := r.URL.Query().Get("topic")
		events := h.join(topic)
		defer h.leave(topic, events)
		w.Header().Set("Content-Type", "text/event-stream")
		flusher := w.(http.Flusher)
		flusher.Flush()
		for {
			select {
			case frame := <-events:
				if _, err := w.Write(frame); err != nil {
					return
				}
				flusher.Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
