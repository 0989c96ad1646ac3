// promsd runs Prometheus's own discovery of one registry, for `npm run bench -- sources`. It prints one line of
// JSON once the targets it knows are as many as -expect: {"targets","seconds"}; then it goes on until SIGTERM.
//
//	promsd -kind consul -address 127.0.0.1:8500 -expect 10000
//
// -kind kubernetes takes -kubeconfig FILE, -kind zookeeper -path (serversets), -kind eureka -address URL.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/consul"
	"github.com/prometheus/prometheus/discovery/eureka"
	"github.com/prometheus/prometheus/discovery/kubernetes"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/discovery/zookeeper"
)

func configFor(kind, address, kubeconfig, path string) (discovery.Config, error) {
	switch kind {
	case "consul":
		c := consul.DefaultSDConfig
		c.Server = address
		return &c, nil
	case "eureka":
		c := eureka.DefaultSDConfig
		c.Server = address
		return &c, nil
	case "kubernetes":
		c := kubernetes.DefaultSDConfig
		c.Role = kubernetes.RoleEndpointSlice
		c.KubeConfig = kubeconfig
		return &c, nil
	case "zookeeper":
		c := zookeeper.DefaultServersetSDConfig
		c.Servers = []string{address}
		c.Paths = []string{path}
		return &c, nil
	}
	return nil, fmt.Errorf("no kind %q", kind)
}

func main() {
	kind := flag.String("kind", "consul", "consul, eureka, kubernetes or zookeeper")
	address := flag.String("address", "", "host:port, or a URL for eureka")
	kubeconfig := flag.String("kubeconfig", "", "file")
	path := flag.String("path", "/", "of serversets")
	expect := flag.Int("expect", 1, "targets that make a full sync")
	flag.Parse()
	if err := run(*kind, *address, *kubeconfig, *path, *expect); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(kind, address, kubeconfig, path string, expect int) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	config, err := configFor(kind, address, kubeconfig, path)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	sd, err := discovery.CreateAndRegisterSDMetrics(registry)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	manager := discovery.NewManager(ctx, log, registry, sd, discovery.Updatert(250*time.Millisecond))
	if manager == nil {
		return fmt.Errorf("no discovery manager")
	}
	started := time.Now()
	go func() { _ = manager.Run() }()
	if err := manager.ApplyConfig(map[string]discovery.Configs{"bench": {config}}); err != nil {
		return err
	}
	told := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case sets := <-manager.SyncCh():
			n := count(sets)
			if told || n < expect {
				continue
			}
			told = true
			seconds := time.Since(started).Seconds()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			line, _ := json.Marshal(map[string]any{"targets": n, "seconds": seconds, "heapBytes": m.HeapAlloc})
			fmt.Println(string(line))
		}
	}
}

func count(sets map[string][]*targetgroup.Group) int {
	n := 0
	for _, groups := range sets {
		for _, g := range groups {
			n += len(g.Targets)
		}
	}
	return n
}

