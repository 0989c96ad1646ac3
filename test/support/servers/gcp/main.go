// Command gcp is an xDS control plane made of go-control-plane and nothing else. The benchmarks measure Isthmus
// beside it: the same clusters, the same endpoints, the same change.
//
// It serves -clusters EDS clusters with -endpoints endpoints each over ADS, incremental and state of the world,
// to any node. GET /bump?v=TEXT on the control address sets the hostname of the first endpoint of one cluster
// (&cluster=I, 0 unless told) to TEXT and pushes; GET /rate?perSecond=N&seconds=S does so N times a second, one cluster
// after the other, in pushes 10 ms apart, and answers at the end; GET /ready answers once the xDS port is open.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// store is what the two kinds of cache have in common here.
type store interface {
	// cache is what the xDS server reads.
	cache() cache.Cache
	// set replaces the endpoints of some clusters and pushes them.
	set(assignments ...*endpointv3.ClusterLoadAssignment) error
}

func main() {
	addr := flag.String("addr", "127.0.0.1:18000", "xDS `address`")
	ctl := flag.String("ctl", "127.0.0.1:18001", "control `address`: /bump?v=TEXT&cluster=I, /ready")
	clusters := flag.Int("clusters", 10, "`number` of clusters")
	endpoints := flag.Int("endpoints", 3, "`number` of endpoints of each cluster")
	kind := flag.String("cache", "linear", "kind of cache: linear or snapshot")
	flag.Parse()

	cs := make([]types.Resource, *clusters)
	es := make([]types.Resource, *clusters)
	for i := range *clusters {
		cs[i] = newCluster(i)
		es[i] = newAssignment(i, *endpoints, "")
	}
	var st store
	switch *kind {
	case "linear":
		st = newLinear(cs, es)
	case "snapshot":
		st = newSnapshots(cs, es)
	default:
		log.Fatalf("-cache %s: want linear or snapshot", *kind)
	}

	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		http.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
		http.HandleFunc("GET /bump", func(w http.ResponseWriter, r *http.Request) {
			i, _ := strconv.Atoi(r.FormValue("cluster"))
			if i < 0 || i >= *clusters {
				http.Error(w, "no such cluster", http.StatusBadRequest)
				return
			}
			if err := st.set(newAssignment(i, *endpoints, r.FormValue("v"))); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			fmt.Fprintln(w, "ok")
		})
		http.HandleFunc("GET /rate", func(w http.ResponseWriter, r *http.Request) {
			perSecond, _ := strconv.Atoi(r.FormValue("perSecond"))
			seconds, _ := strconv.Atoi(r.FormValue("seconds"))
			if perSecond < 1 || perSecond > 100_000 || seconds < 1 || seconds > 600 {
				http.Error(w, "perSecond and seconds must be small numbers", http.StatusBadRequest)
				return
			}
			if err := change(st, perSecond, seconds, *clusters, *endpoints); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			fmt.Fprintln(w, "ok")
		})
		log.Fatal(http.ListenAndServe(*ctl, nil))
	}()
	g := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, server.NewServer(context.Background(), st.cache(), nil))
	log.Fatal(g.Serve(listener))
}

// change bumps all clusters in turn at a rate, in pushes 10 ms apart; no neighbours in one push.
func change(st store, perSecond, seconds, clusters, endpoints int) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	begin := time.Now()
	for done := 0; done < perSecond*seconds; {
		<-ticker.C
		due := min(perSecond*seconds, int(time.Since(begin).Seconds()*float64(perSecond)))
		var batch []*endpointv3.ClusterLoadAssignment
		for ; done < due; done++ {
			batch = append(batch, newAssignment(done*37%clusters, endpoints, fmt.Sprintf("r%d", done)))
		}
		if err := st.set(batch...); err != nil {
			return err
		}
	}
	return nil
}

// linear is one LinearCache a type: the cheapest that go-control-plane offers when all nodes see the same.
type linear struct {
	mux *cache.MuxCache
	eds *cache.LinearCache
}

func newLinear(clusters, assignments []types.Resource) *linear {
	eds := cache.NewLinearCache(resource.EndpointType, cache.WithInitialResources(cache.IndexRawResourcesByName(assignments)))
	caches := map[string]cache.Cache{
		resource.ClusterType:  cache.NewLinearCache(resource.ClusterType, cache.WithInitialResources(cache.IndexRawResourcesByName(clusters))),
		resource.EndpointType: eds,
	}
	// A mux ends the stream of whoever asks for a type that it lacks.
	for _, empty := range []string{resource.ListenerType, resource.RouteType, resource.SecretType, resource.RuntimeType} {
		caches[empty] = cache.NewLinearCache(empty)
	}
	return &linear{eds: eds, mux: &cache.MuxCache{
		Classify:      func(r *cache.Request) string { return r.GetTypeUrl() },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return r.GetTypeUrl() },
		Caches:        caches,
	}}
}

func (l *linear) cache() cache.Cache { return l.mux }

func (l *linear) set(assignments ...*endpointv3.ClusterLoadAssignment) error {
	changed := make(map[string]types.Resource, len(assignments))
	for _, a := range assignments {
		changed[a.GetClusterName()] = a
	}
	return l.eds.UpdateResources(changed, nil)
}

// snapshots is a SnapshotCache with one snapshot that every node gets.
type snapshots struct {
	mu          sync.Mutex
	snapshot    cache.SnapshotCache
	clusters    cache.Resources
	assignments map[string]types.Resource
	version     int
}

const everyNode = "all"

// oneGroup puts every node into the same group.
type oneGroup struct{}

func (oneGroup) ID(*corev3.Node) string { return everyNode }

func newSnapshots(clusters, assignments []types.Resource) *snapshots {
	s := &snapshots{
		snapshot:    cache.NewSnapshotCache(false, oneGroup{}, nil),
		clusters:    cache.NewResources("1", clusters),
		assignments: cache.IndexRawResourcesByName(assignments),
	}
	if err := s.push(); err != nil {
		log.Fatal(err)
	}
	return s
}

func (s *snapshots) cache() cache.Cache { return s.snapshot }

func (s *snapshots) set(assignments ...*endpointv3.ClusterLoadAssignment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range assignments {
		s.assignments[a.GetClusterName()] = a
	}
	return s.push()
}

// push makes a new snapshot in which only the version of the endpoints differs, so that clusters are not resent.
func (s *snapshots) push() error {
	s.version++
	all := make([]types.Resource, 0, len(s.assignments))
	for _, a := range s.assignments {
		all = append(all, a)
	}
	snap := &cache.Snapshot{}
	snap.Resources[types.Listener] = cache.NewResources("1", nil) // an Envoy waits for an answer, if only an empty one
	snap.Resources[types.Cluster] = s.clusters
	snap.Resources[types.Endpoint] = cache.NewResources(strconv.Itoa(s.version), all)
	return s.snapshot.SetSnapshot(context.Background(), everyNode, snap)
}

func clusterName(i int) string { return fmt.Sprintf("svc-%d.default", i) }

func newCluster(i int) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 clusterName(i),
		ConnectTimeout:       durationpb.New(time.Second),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: &corev3.ConfigSource{
			ResourceApiVersion:    corev3.ApiVersion_V3,
			ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		}},
	}
}

// newAssignment makes the endpoints of cluster i; the first one carries the hostname.
func newAssignment(i, endpoints int, hostname string) *endpointv3.ClusterLoadAssignment {
	lbs := make([]*endpointv3.LbEndpoint, endpoints)
	for h := range lbs {
		endpoint := &endpointv3.Endpoint{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address:       fmt.Sprintf("127.%d.%d.%d", 1+i/200, i%200, h%250+1),
			PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(8080 + h/250)},
		}}}}
		if h == 0 {
			endpoint.Hostname = hostname
		}
		lbs[h] = &endpointv3.LbEndpoint{
			HostIdentifier:      &endpointv3.LbEndpoint_Endpoint{Endpoint: endpoint},
			HealthStatus:        corev3.HealthStatus_HEALTHY,
			LoadBalancingWeight: wrapperspb.UInt32(1),
		}
	}
	return &endpointv3.ClusterLoadAssignment{ClusterName: clusterName(i), Endpoints: []*endpointv3.LocalityLbEndpoints{{
		Locality:            &corev3.Locality{Zone: "a"},
		LoadBalancingWeight: wrapperspb.UInt32(1),
		LbEndpoints:         lbs,
	}}}
}
