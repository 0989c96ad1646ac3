// Command lg is the HTTP/1.1 load generator of the benchmarks. Closed loop: each of -c connections sends its next
// request when the answer to the last one is complete. It writes raw bytes and reads only as much of an answer as is
// needed to find its end, so that on a machine of few cores the time goes to the server that is measured.
//
//	lg -url http://127.0.0.1:15001/ -H 'host: orders.default' -c 64 -n 200000 -pids 4711
//	lg -url http://127.0.0.1:15001/ -c 64 -d 5s
//
// After -warm it measures until -n requests are answered, or for -d when -n is 0, and never longer than -max.
// It prints one line of JSON. Exit code 1 if nothing was answered.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// report is what is printed. Times are microseconds unless the name says otherwise.
type report struct {
	Name        string           `json:"name,omitempty"`
	URL         string           `json:"url"`
	Connections int              `json:"connections"`
	Requests    int64            `json:"requests"`
	Errors      int64            `json:"errors"`
	FirstError  string           `json:"firstError,omitempty"`
	Status      map[int]int64    `json:"status"`
	Seconds     float64          `json:"seconds"`
	RPS         float64          `json:"rps"`
	P50         float64          `json:"p50"`
	P90         float64          `json:"p90"`
	P99         float64          `json:"p99"`
	P999        float64          `json:"p999"`
	Max         float64          `json:"max"`
	CPUNs       map[string]int64 `json:"cpuNs,omitempty"` // of each process in -pids
	CPUPerReq   float64          `json:"cpuPerRequest,omitempty"`
	RSSKb       map[string]int64 `json:"rssKb,omitempty"`
}

// The phases of a run; workers look at the phase before each request.
const (
	warming int32 = iota
	measuring
	stopped
)

type headers []string

func (h *headers) String() string     { return strings.Join(*h, ", ") }
func (h *headers) Set(v string) error { *h = append(*h, v); return nil }

// load is the state that the workers share.
type load struct {
	addr    string
	request []byte
	limit   int64 // requests to measure, 0: no limit

	phase   atomic.Int32
	sent    atomic.Int64 // measured requests that were begun
	running atomic.Int64 // workers that have not ended
	workers []worker
	done    sync.WaitGroup
}

// worker is one connection and what it saw.
type worker struct {
	conn      net.Conn
	reader    *bufio.Reader
	latencies []time.Duration
	status    map[int]int64
	errors    int64
	first     error
}

func main() {
	log.SetFlags(0)
	target := flag.String("url", "http://127.0.0.1:8080/", "`URL`, http only")
	connections := flag.Int("c", 64, "`number` of connections")
	requests := flag.Int64("n", 0, "`number` of requests to measure")
	duration := flag.Duration("d", 3*time.Second, "how long to measure, if -n is 0")
	limit := flag.Duration("max", time.Minute, "end then, whatever -n or -d says")
	warm := flag.Duration("warm", time.Second, "how long to run before measuring")
	pids := flag.String("pids", "", "comma-separated `list` of processes whose CPU time and memory are reported")
	method := flag.String("method", "GET", "request `method`")
	body := flag.Int("body", 0, "`bytes` of request body")
	name := flag.String("name", "", "`text` copied to the report")
	var extra headers
	flag.Var(&extra, "H", "request `header`, may be repeated")
	flag.Parse()

	u, err := url.Parse(*target)
	if err != nil || u.Scheme != "http" {
		log.Fatalf("lg: -url %s: want http://HOST:PORT/PATH", *target)
	}
	l := &load{addr: u.Host, request: encode(u, *method, extra, *body), limit: *requests, workers: make([]worker, *connections)}
	if u.Port() == "" {
		l.addr = net.JoinHostPort(u.Hostname(), "80")
	}
	procs := processes(*pids)

	for i := range l.workers {
		l.done.Add(1)
		l.running.Add(1)
		go l.run(&l.workers[i])
	}
	time.Sleep(*warm)
	cpu := cpuTimes(procs)
	begin := time.Now()
	l.phase.Store(measuring)

	length := min(*duration, *limit)
	if *requests > 0 {
		length = *limit
	}
	finished := make(chan struct{})
	go func() { l.done.Wait(); close(finished) }()
	select {
	case <-finished: // all -n requests, or no connection works
	case <-time.After(length):
	}
	elapsed := time.Since(begin)
	after := cpuTimes(procs)
	rss := residentKb(procs)
	l.phase.Store(stopped)
	select {
	case <-finished:
	case <-time.After(5 * time.Second):
	}
	hanging := l.running.Load() // requests that were never answered

	r := l.report(elapsed)
	r.Errors += hanging
	if hanging > 0 && r.FirstError == "" {
		r.FirstError = fmt.Sprintf("%d requests were not answered", hanging)
	}
	r.Name, r.URL, r.Connections = *name, *target, *connections
	if len(procs) > 0 {
		r.CPUNs, r.RSSKb = map[string]int64{}, rss
		var total int64
		for pid, t := range after {
			r.CPUNs[pid] = t - cpu[pid]
			total += t - cpu[pid]
		}
		if r.Requests > 0 {
			r.CPUPerReq = round(float64(total) / 1e3 / float64(r.Requests))
		}
	}
	out, _ := json.Marshal(r)
	fmt.Println(string(out))
	if r.Requests == 0 {
		os.Exit(1)
	}
}

// encode makes the bytes of the one request that is sent over and over.
func encode(u *url.URL, method string, extra headers, body int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, u.RequestURI())
	if !slices.ContainsFunc(extra, func(h string) bool { return strings.HasPrefix(strings.ToLower(h), "host:") }) {
		fmt.Fprintf(&b, "Host: %s\r\n", u.Host)
	}
	for _, h := range extra {
		fmt.Fprintf(&b, "%s\r\n", h)
	}
	b.WriteString("User-Agent: lg\r\nAccept: */*\r\n")
	if body > 0 {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", body)
	}
	b.WriteString("\r\n")
	b.Write(bytes.Repeat([]byte{'x'}, body))
	return b.Bytes()
}

// run is one connection's loop. A connection that breaks is an error and is opened again.
func (l *load) run(w *worker) {
	defer l.done.Done()
	defer l.running.Add(-1)
	defer w.close()
	w.status = map[int]int64{}
	if l.limit > 0 {
		w.latencies = make([]time.Duration, 0, 2*l.limit/int64(len(l.workers)))
	}
	for {
		phase := l.phase.Load()
		if phase == stopped {
			return
		}
		if phase == measuring && l.limit > 0 && l.sent.Add(1) > l.limit {
			return
		}
		start := time.Now()
		status, err := w.exchange(l.addr, l.request)
		took := time.Since(start)
		if err != nil {
			w.close()
			time.Sleep(time.Millisecond) // no busy loop while nobody listens
		}
		// What began before measuring does not count, nor what ends after it.
		if phase != measuring || l.phase.Load() == stopped {
			continue
		}
		if err != nil {
			w.errors++
			if w.first == nil {
				w.first = err
			}
			continue
		}
		w.status[status]++
		w.latencies = append(w.latencies, took)
	}
}

func (w *worker) close() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

// exchange sends the request, reads the whole answer and returns its status.
func (w *worker) exchange(addr string, request []byte) (int, error) {
	if w.conn == nil {
		conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err != nil {
			return 0, err
		}
		w.conn, w.reader = conn, bufio.NewReaderSize(conn, 32<<10)
	}
	if _, err := w.conn.Write(request); err != nil {
		return 0, err
	}
	for {
		status, last, err := readAnswer(w.reader)
		if err != nil {
			return 0, err
		}
		if status < 200 {
			continue // an interim answer
		}
		if last {
			w.close()
		}
		return status, nil
	}
}

// readAnswer reads one answer to its end. last says that the server closes the connection after it.
func readAnswer(r *bufio.Reader) (status int, last bool, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, false, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return 0, false, fmt.Errorf("not HTTP: %.40q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, false, err
	}
	last = line[7] == '0'
	length, chunked := int64(-1), false
	for {
		line, err = r.ReadSlice('\n')
		if err != nil {
			return 0, false, err
		}
		if len(line) <= 2 {
			break
		}
		// Only these three are of interest; most lines are told apart by their first byte.
		switch line[0] | 0x20 {
		case 'c':
			if v, ok := value(line, "content-length:"); ok {
				if length, err = strconv.ParseInt(string(v), 10, 64); err != nil {
					return 0, false, err
				}
			} else if v, ok := value(line, "connection:"); ok {
				last = bytes.EqualFold(v, []byte("close"))
			}
		case 't':
			if v, ok := value(line, "transfer-encoding:"); ok {
				chunked = bytes.EqualFold(v, []byte("chunked"))
			}
		}
	}
	switch {
	case status < 200 || status == 204 || status == 304:
		return status, last, nil
	case chunked:
		return status, last, skipChunks(r)
	case length >= 0:
		_, err = r.Discard(int(length))
		return status, last, err
	case last:
		_, err = io.Copy(io.Discard, r)
		return status, last, err
	}
	return 0, false, errors.New("an answer without a length")
}

// value returns what follows the lower-case name in a header line, if it is that header.
func value(line []byte, name string) ([]byte, bool) {
	if len(line) < len(name) || !bytes.EqualFold(line[:len(name)], []byte(name)) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name):]), true
}

func skipChunks(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(bytes.TrimSpace(line), []byte(";"))
		n, err := strconv.ParseInt(string(size), 16, 64)
		if err != nil {
			return err
		}
		if n > 0 {
			if _, err := r.Discard(int(n) + 2); err != nil {
				return err
			}
			continue
		}
		for { // trailers
			line, err := r.ReadSlice('\n')
			if err != nil || len(line) <= 2 {
				return err
			}
		}
	}
}

// report puts together what the workers saw.
func (l *load) report(elapsed time.Duration) report {
	r := report{Status: map[int]int64{}, Seconds: round(elapsed.Seconds())}
	var all []time.Duration
	for i := range l.workers {
		w := &l.workers[i]
		all = append(all, w.latencies...)
		r.Errors += w.errors
		for status, n := range w.status {
			r.Status[status] += n
			if status >= 400 {
				r.Errors += n
			}
		}
		if w.first != nil && r.FirstError == "" {
			r.FirstError = w.first.Error()
		}
	}
	r.Requests = int64(len(all))
	r.RPS = round(float64(len(all)) / elapsed.Seconds())
	if len(all) == 0 {
		return r
	}
	slices.Sort(all)
	at := func(p float64) float64 { return round(float64(all[int(p*float64(len(all)-1))]) / 1e3) }
	r.P50, r.P90, r.P99, r.P999, r.Max = at(0.5), at(0.9), at(0.99), at(0.999), at(1)
	return r
}

func round(f float64) float64 { return float64(int64(f*1000+0.5)) / 1000 }
