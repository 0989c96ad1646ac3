// Command xdslg is many xDS clients in one process: each opens a connection and an incremental ADS stream, asks for
// all clusters, then for the endpoints of those, and acknowledges every response. Or it asks for the endpoints of some
// clusters by name (-eds pick), incrementally or as the state of the world (-sotw). What it keeps of a response is its
// names and nonce, so that on a machine of few cores the time goes to the server that is measured.
//
// One run, the server's own control address being asked for each change:
//
//	xdslg -addr 127.0.0.1:18000 -clients 1000 -bump 'http://127.0.0.1:18001/bump?v=' -bumps 20 -pids 4711
//
// It waits until every client has the endpoints of every cluster, then -bumps times sends GET BUMP+TEXT with a fresh
// TEXT and waits until every client has received an endpoint update that holds TEXT as a string field.
// It prints one line of JSON and ends; the exit code is 1 if a client failed or a wait ran out.
//
// With -ctl the clients stay, and whoever steers the server calls:
//
//	GET /state            the JSON so far; synced is true once all clients have everything
//	GET /arm?v=TEXT       the clock starts now, for an update that holds TEXT; &of=N: N clients will get it, not all
//	GET /wait?timeout=10s answers when the armed update is everywhere: the JSON of this bump
//	GET /quit
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// report is what is printed. Times are milliseconds unless the name says otherwise.
type report struct {
	Name       string       `json:"name,omitempty"`
	Clients    int          `json:"clients"`
	Synced     bool         `json:"synced"`
	Failed     int64        `json:"failed"`
	FirstError string       `json:"firstError,omitempty"`
	Sync       *syncReport  `json:"sync,omitempty"`
	Bumps      []bumpReport `json:"bumps,omitempty"`
	LastP50    float64      `json:"lastP50,omitempty"` // over the bumps: time until the last client had it
	LastMax    float64      `json:"lastMax,omitempty"`
	Responses  int64        `json:"responses"`  // of any type, all clients together
	EDSUpdates int64        `json:"edsUpdates"` // endpoint resources, all clients together
	Bytes      int64        `json:"bytes"`
}

type syncReport struct {
	Clusters  int              `json:"clusters"` // of the last client
	P50       float64          `json:"p50"`      // from the client's dial
	P99       float64          `json:"p99"`
	Last      float64          `json:"last"` // from the first dial to the last client
	CPUNs     map[string]int64 `json:"cpuNs,omitempty"`
	RSSKb     map[string]int64 `json:"rssKb,omitempty"`
	OwnCPUNs  int64            `json:"ownCpuNs"`
	Bytes     int64            `json:"bytes"`
	Responses int64            `json:"responses"`
}

type bumpReport struct {
	V        string           `json:"v"`
	Clients  int64            `json:"clients"` // that have it
	First    float64          `json:"first"`
	P50      float64          `json:"p50"`
	P99      float64          `json:"p99"`
	Last     float64          `json:"last"`
	CPUNs    map[string]int64 `json:"cpuNs,omitempty"`
	OwnCPUNs int64            `json:"ownCpuNs"`
}

// fleet is all clients and what they have in common.
type fleet struct {
	addr      string
	authority string
	wildcard  bool // ask for all endpoints instead of naming them
	pick      int  // ask for the endpoints of so many clusters by name, and for no cluster
	of        int  // clusters to pick from
	sotw      bool // state of the world instead of incremental
	frozen    int  // so many clients read nothing once they have everything
	clients   []*client
	pids      []string

	responses  atomic.Int64
	edsUpdates atomic.Int64
	bytes      atomic.Int64
	failed     atomic.Int64
	firstError atomic.Pointer[string]
	quitting   atomic.Bool

	unsynced atomic.Int64
	synced   chan struct{} // closed when unsynced is 0

	armed atomic.Pointer[mark]

	mu    sync.Mutex // below: what the report is made of
	sync  *syncReport
	bumps []bumpReport
}

// mark is an update that is waited for.
type mark struct {
	text    string
	pattern []byte // as a protobuf string field: its length, then the text
	start   time.Time
	cpu     map[string]int64
	own     int64
	seen    []atomic.Int64 // by client: nanoseconds after start, 0 = not yet
	missing atomic.Int64
	all     chan struct{}
}

func main() {
	log.SetFlags(0)
	addr := flag.String("addr", "127.0.0.1:15010", "xDS `address`, plaintext")
	clients := flag.Int("clients", 100, "`number` of clients")
	parallel := flag.Int("parallel", 64, "`number` of clients that may be connecting at once")
	eds := flag.String("eds", "named", "ask for endpoints: named (as Envoy does), wildcard or pick")
	clusters := flag.Int("clusters", 0, "with -eds wildcard: `number` of endpoint resources that make a client complete; with pick: of those there are")
	pick := flag.Int("pick", 20, "with -eds pick: `number` of clusters svc-N.default that each client names")
	sotw := flag.Bool("sotw", false, "with -eds pick: state of the world instead of incremental")
	frozen := flag.Int("frozen", 0, "`number` of clients that read nothing once they have everything")
	node := flag.String("node", "xdslg", "node ids are this `text`, a hyphen and a number")
	service := flag.String("service", "", "node.cluster")
	bump := flag.String("bump", "", "`URL` to which the text of a bump is appended")
	bumps := flag.Int("bumps", 10, "`number` of bumps")
	pause := flag.Duration("pause", 100*time.Millisecond, "pause between bumps")
	limit := flag.Duration("timeout", time.Minute, "longest wait for the sync, and for each bump")
	ctl := flag.String("ctl", "", "serve the control API at this `address` and stay")
	pids := flag.String("pids", "", "comma-separated `list` of processes whose CPU time and memory are reported")
	name := flag.String("name", "", "`text` copied to the report")
	flag.Parse()
	if *eds != "named" && (*eds != "wildcard" && *eds != "pick" || *clusters == 0) {
		log.Fatal("xdslg: -eds is named, or wildcard or pick with -clusters")
	}
	if *sotw && *eds != "pick" {
		log.Fatal("xdslg: -sotw goes with -eds pick")
	}
	want := *clusters
	if *eds != "pick" {
		*pick = 0
	} else {
		want = min(*pick, *clusters)
	}
	debug.SetGCPercent(400) // memory is cheaper than the cores that the server needs

	f := &fleet{addr: *addr, authority: *addr, wildcard: *eds == "wildcard", pick: *pick, of: *clusters, sotw: *sotw,
		frozen: *frozen, pids: processes(*pids), synced: make(chan struct{})}
	f.unsynced.Store(int64(*clients))
	for i := range *clients {
		f.clients = append(f.clients, newClient(f, i, fmt.Sprintf("%s-%d", *node, i), *service, want))
	}
	begin, cpu, own := time.Now(), cpuTimes(f.pids), ownCPU()
	go f.connect(*parallel)
	wait := func() bool { return f.awaitSync(begin, cpu, own, *limit) }

	if *ctl != "" {
		go wait()
		log.Fatal(http.ListenAndServe(*ctl, f.control(*name, *limit)))
	}
	ok := wait()
	if ok && *bump != "" {
		for i := range *bumps {
			time.Sleep(*pause)
			m := f.arm(fmt.Sprintf("b%d-%d", i, time.Now().UnixMicro()), len(f.clients)-f.frozen)
			if err := get(*bump + m.text); err != nil {
				log.Fatalf("xdslg: bump: %v", err)
			}
			b := f.await(m, *limit)
			ok = ok && b.Clients == int64(len(f.clients)-f.frozen)
		}
	}
	f.quitting.Store(true)
	r := f.report(*name)
	out, _ := json.Marshal(r)
	fmt.Println(string(out))
	if !ok || r.Failed > 0 {
		os.Exit(1)
	}
}

// connect starts the clients, not all at once: a server's listen queue is short.
func (f *fleet) connect(parallel int) {
	slots := make(chan struct{}, parallel)
	for _, c := range f.clients {
		slots <- struct{}{}
		go func() {
			err := c.run(func() { <-slots })
			if f.quitting.Load() {
				return
			}
			f.failed.Add(1)
			text := fmt.Sprintf("%s: %v", c.node, err)
			if f.firstError.CompareAndSwap(nil, &text) {
				log.Printf("xdslg: %s", text)
			}
		}()
	}
}

// clientSynced is called once by each client that has everything.
func (f *fleet) clientSynced() {
	if f.unsynced.Add(-1) == 0 {
		close(f.synced)
	}
}

func (f *fleet) awaitSync(begin time.Time, cpu map[string]int64, own int64, limit time.Duration) bool {
	select {
	case <-f.synced:
	case <-time.After(limit):
		log.Printf("xdslg: %d clients have not got everything after %v", f.unsynced.Load(), limit)
		return false
	}
	s := &syncReport{Last: ms(time.Since(begin)), CPUNs: since(cpu, cpuTimes(f.pids)), OwnCPUNs: ownCPU() - own,
		RSSKb: residentKb(f.pids), Bytes: f.bytes.Load(), Responses: f.responses.Load(), Clusters: int(f.clients[len(f.clients)-1].have.Load())}
	var took []time.Duration
	for _, c := range f.clients {
		took = append(took, time.Duration(c.syncedAfter.Load()))
	}
	slices.Sort(took)
	s.P50, s.P99 = ms(at(took, 0.5)), ms(at(took, 0.99))
	f.mu.Lock()
	f.sync = s
	f.mu.Unlock()
	return true
}

// arm starts the clock for an update that holds text and that so many clients will get.
func (f *fleet) arm(text string, of int) *mark {
	m := &mark{text: text, pattern: append([]byte{byte(len(text))}, text...), cpu: cpuTimes(f.pids), own: ownCPU(),
		seen: make([]atomic.Int64, len(f.clients)), all: make(chan struct{})}
	m.missing.Store(int64(of))
	m.start = time.Now()
	f.armed.Store(m)
	return m
}

// await waits until every client has the update, and adds it to the report.
func (f *fleet) await(m *mark, limit time.Duration) bumpReport {
	select {
	case <-m.all:
	case <-time.After(limit):
	}
	var took []time.Duration
	for i := range m.seen {
		if t := m.seen[i].Load(); t != 0 {
			took = append(took, time.Duration(t))
		}
	}
	slices.Sort(took)
	b := bumpReport{V: m.text, Clients: int64(len(took)), CPUNs: since(m.cpu, cpuTimes(f.pids)), OwnCPUNs: ownCPU() - m.own}
	b.First, b.P50, b.P99, b.Last = ms(at(took, 0)), ms(at(took, 0.5)), ms(at(took, 0.99)), ms(at(took, 1))
	f.mu.Lock()
	f.bumps = append(f.bumps, b)
	f.mu.Unlock()
	return b
}

func (f *fleet) report(name string) report {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := report{Name: name, Clients: len(f.clients), Synced: f.sync != nil, Failed: f.failed.Load(), Sync: f.sync, Bumps: f.bumps,
		Responses: f.responses.Load(), EDSUpdates: f.edsUpdates.Load(), Bytes: f.bytes.Load()}
	if text := f.firstError.Load(); text != nil {
		r.FirstError = *text
	}
	var last []float64
	for _, b := range f.bumps {
		last = append(last, b.Last)
	}
	if len(last) > 0 {
		slices.Sort(last)
		r.LastP50, r.LastMax = last[(len(last)-1)/2], last[len(last)-1]
	}
	return r
}

func (f *fleet) control(name string, limit time.Duration) http.Handler {
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("content-type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) { answer(w, f.report(name)) })
	mux.HandleFunc("GET /arm", func(w http.ResponseWriter, r *http.Request) {
		text := r.FormValue("v")
		if text == "" || len(text) > 127 {
			http.Error(w, "v must have 1 to 127 bytes", http.StatusBadRequest)
			return
		}
		of := len(f.clients) - f.frozen
		if v := r.FormValue("of"); v != "" {
			var err error
			if of, err = strconv.Atoi(v); err != nil || of < 1 {
				http.Error(w, "of must be a number", http.StatusBadRequest)
				return
			}
		}
		f.arm(text, of)
		answer(w, struct{}{})
	})
	mux.HandleFunc("GET /wait", func(w http.ResponseWriter, r *http.Request) {
		m := f.armed.Load()
		if m == nil {
			http.Error(w, "nothing is armed", http.StatusConflict)
			return
		}
		timeout := limit
		if v := r.FormValue("timeout"); v != "" {
			var err error
			if timeout, err = time.ParseDuration(v); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
		}
		answer(w, f.await(m, timeout))
	})
	mux.HandleFunc("GET /quit", func(w http.ResponseWriter, _ *http.Request) {
		f.quitting.Store(true)
		answer(w, f.report(name))
		time.AfterFunc(50*time.Millisecond, func() { os.Exit(0) })
	})
	return mux
}

func get(url string) error {
	res, err := http.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(body)))
	}
	return nil
}

func since(before, after map[string]int64) map[string]int64 {
	if len(after) == 0 {
		return nil
	}
	spent := map[string]int64{}
	for pid, t := range after {
		spent[pid] = t - before[pid]
	}
	return spent
}

func ownCPU() int64 { return cpuTimes([]string{"self"})["self"] }

func at(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(p*float64(len(sorted)-1))]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
