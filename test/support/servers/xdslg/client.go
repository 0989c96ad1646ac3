package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	service     = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
	clusterType = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	loadType    = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"

	window    = 1 << 30 // what the server may send before it needs a WINDOW_UPDATE: more than a bench sends
	replenish = 1 << 28
	stream    = 1 // the only one of a connection
)

// client is one connection with one stream. Its goroutine reads and writes both, so nothing in it needs a lock.
type client struct {
	fleet   *fleet
	index   int
	node    string
	service string

	framer *http2.Framer
	out    *bufio.Writer

	// What the server lets us send, and what waits for that.
	sendConn, sendStream, initial int64
	pending                       []byte

	message  *bytes.Buffer // a gRPC message that has not come to its end, from the pool
	received int64         // since the last WINDOW_UPDATE

	start       time.Time
	want        int          // endpoint resources that make this client complete
	have        atomic.Int64 // those it got
	syncedAfter atomic.Int64 // nanoseconds, 0 = not yet
	asked       bool         // for endpoints
	picked      []string     // the clusters whose endpoints it names, with -eds pick
}

// Buffers are given back after each message: a thousand clients would otherwise keep a thousand full lists.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func newClient(f *fleet, index int, node, service string, want int) *client {
	c := &client{fleet: f, index: index, node: node, service: service, want: want}
	// Neighbours ask for neighbouring clusters, so that each cluster has as many who ask for it.
	for k := range f.pick {
		c.picked = append(c.picked, fmt.Sprintf("svc-%d.default", (index*f.pick+k)%f.of))
	}
	return c
}

// run connects and reads until the connection ends. connected is called once, when the handshake is over or has failed.
func (c *client) run(connected func()) error {
	once := sync.OnceFunc(connected)
	defer once()
	c.start = time.Now()
	conn, err := net.DialTimeout("tcp", c.fleet.addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	c.out = bufio.NewWriterSize(conn, 4<<10)
	c.framer = http2.NewFramer(c.out, bufio.NewReaderSize(conn, 16<<10))
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(1 << 20)
	c.sendConn, c.sendStream, c.initial = 65535, 65535, 65535

	if err := c.open(); err != nil {
		return err
	}
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return err
		}
		if _, ok := frame.(*http2.SettingsFrame); ok {
			once()
		}
		if err := c.handle(frame); err != nil {
			return err
		}
		if err := c.flush(); err != nil {
			return err
		}
	}
}

// open sends the preface, the request's headers and the first subscription.
func (c *client) open() error {
	if _, err := c.out.WriteString(http2.ClientPreface); err != nil {
		return err
	}
	frozen := c.index < c.fleet.frozen
	initial := uint32(window)
	if frozen {
		initial = 4 << 20 // enough for the first answers, as an Envoy has it
	}
	err := c.framer.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: initial},
		http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20},
	)
	if err != nil {
		return err
	}
	if err := c.framer.WriteWindowUpdate(0, initial-65535); err != nil {
		return err
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	path := service + "DeltaAggregatedResources"
	if c.fleet.sotw {
		path = service + "StreamAggregatedResources"
	}
	for _, h := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", c.fleet.authority},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"user-agent", "xdslg"},
	} {
		if err := encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			return err
		}
	}
	err = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true})
	if err != nil {
		return err
	}
	switch {
	case c.fleet.sotw:
		c.asked = true
		c.send(c.worldRequest("", "", true))
	case len(c.picked) > 0:
		c.asked = true
		c.send(c.request(loadType, "", c.picked, true))
	default:
		c.send(c.request(clusterType, "", nil, true))
	}
	return c.flush()
}

func (c *client) handle(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.DataFrame:
		if err := c.data(f.Data()); err != nil {
			return err
		}
		// Padding counts too, hence the frame's length.
		c.received += int64(f.Header().Length)
		if c.received >= replenish {
			if err := c.framer.WriteWindowUpdate(0, uint32(c.received)); err != nil {
				return err
			}
			if err := c.framer.WriteWindowUpdate(stream, uint32(c.received)); err != nil {
				return err
			}
			c.received = 0
		}
		if f.StreamEnded() {
			return fmt.Errorf("the server ended the stream")
		}
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
			c.sendStream += int64(v) - c.initial
			c.initial = int64(v)
		}
		return c.framer.WriteSettingsAck()
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.sendConn += int64(f.Increment)
		} else {
			c.sendStream += int64(f.Increment)
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return c.framer.WritePing(true, f.Data)
		}
	case *http2.HeadersFrame:
		if f.StreamEnded() {
			return fmt.Errorf("the server ended the stream: %s", trailers(f))
		}
	case *http2.RSTStreamFrame:
		return fmt.Errorf("the server reset the stream: %v", f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Errorf("the server goes away: %v %s", f.ErrCode, f.DebugData())
	}
	return nil
}

// trailers returns the gRPC fields of a header block. Earlier blocks were not decoded, so indexed names may be missing.
func trailers(f *http2.HeadersFrame) string {
	var fields []string
	_, _ = hpack.NewDecoder(4096, func(h hpack.HeaderField) {
		if strings.HasPrefix(h.Name, "grpc-") {
			fields = append(fields, h.Name+": "+h.Value)
		}
	}).Write(f.HeaderBlockFragment())
	return strings.Join(fields, ", ")
}

// data takes a piece of the stream: gRPC messages, each behind five bytes of flag and length.
func (c *client) data(piece []byte) error {
	c.fleet.bytes.Add(int64(len(piece)))
	// Most updates are small and come whole: read them where they lie.
	if c.message == nil {
		for {
			body, rest, ok := cutMessage(piece)
			if !ok {
				break
			}
			if err := c.response(body); err != nil {
				return err
			}
			piece = rest
		}
		if len(piece) == 0 {
			return nil
		}
		c.message = buffers.Get().(*bytes.Buffer)
		c.message.Reset()
	}
	c.message.Write(piece)
	all := c.message.Bytes()
	for {
		body, rest, ok := cutMessage(all)
		if !ok {
			break
		}
		if err := c.response(body); err != nil {
			return err
		}
		all = rest
	}
	if len(all) == 0 {
		buffers.Put(c.message)
		c.message = nil
		return nil
	}
	c.message.Next(c.message.Len() - len(all))
	return nil
}

func cutMessage(b []byte) (body, rest []byte, ok bool) {
	if len(b) < 5 {
		return nil, b, false
	}
	end := 5 + int(binary.BigEndian.Uint32(b[1:5]))
	if len(b) < end {
		return nil, b, false
	}
	return b[5:end], b[end:], true
}

// response takes a response: counts, acknowledges, and asks for the endpoints of new clusters. Both kinds have their
// resources in field 2, the type in 4 and the nonce in 5.
func (c *client) response(body []byte) error {
	f := c.fleet
	f.responses.Add(1)
	var typeURL, nonce, version string
	var names []string
	resources := 0
	err := fields(body, func(number protowire.Number, value []byte) error {
		switch number {
		case 1:
			version = string(value)
		case 2:
			resources++
		case 4:
			typeURL = string(value)
		case 5:
			nonce = string(value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if typeURL == loadType {
		if m := f.armed.Load(); m != nil && m.seen[c.index].Load() == 0 && bytes.Contains(body, m.pattern) {
			m.seen[c.index].Store(max(1, int64(time.Since(m.start))))
			if m.missing.Add(-1) == 0 {
				close(m.all)
			}
		}
		f.edsUpdates.Add(int64(resources))
		c.have.Add(int64(resources))
	}
	if f.sotw {
		c.send(c.worldRequest(version, nonce, false))
	} else {
		c.send(c.request(typeURL, nonce, nil, false))
	}

	if typeURL == clusterType && !(f.wildcard && c.asked) {
		if !f.wildcard {
			if names, err = resourceNames(body); err != nil {
				return err
			}
			c.want += len(names)
		}
		if f.wildcard || len(names) > 0 {
			c.send(c.request(loadType, "", names, false))
		}
		c.asked = true
	}
	if c.syncedAfter.Load() == 0 && c.asked && c.have.Load() >= int64(c.want) {
		c.syncedAfter.Store(int64(time.Since(c.start)))
		f.clientSynced()
		if c.index < f.frozen {
			if err := c.flush(); err != nil {
				return err
			}
			select {} // from now on it takes nothing
		}
	}
	return nil
}

// resourceNames returns Resource.name of each resource in a DeltaDiscoveryResponse.
func resourceNames(body []byte) ([]string, error) {
	var names []string
	err := fields(body, func(number protowire.Number, value []byte) error {
		if number != 2 {
			return nil
		}
		return fields(value, func(number protowire.Number, value []byte) error {
			if number == 3 {
				names = append(names, string(value))
			}
			return nil
		})
	})
	return names, err
}

// fields calls f for each length-delimited field of a message, and skips the others.
func fields(b []byte, f func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
				return protowire.ParseError(n)
			}
			b = b[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := f(number, value); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// request encodes a DeltaDiscoveryRequest. One without names, nonce and earlier request of its type is a wildcard.
func (c *client) request(typeURL, nonce string, subscribe []string, first bool) []byte {
	var b []byte
	str := func(b []byte, number protowire.Number, v string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), v)
	}
	if first {
		node := str(nil, 1, c.node)
		if c.service != "" {
			node = str(node, 2, c.service)
		}
		b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), node)
	}
	b = str(b, 2, typeURL)
	for _, name := range subscribe {
		b = str(b, 3, name)
	}
	if nonce != "" {
		b = str(b, 6, nonce)
	}
	return b
}

// worldRequest encodes a DiscoveryRequest for the endpoints of the clusters that it picked.
func (c *client) worldRequest(version, nonce string, first bool) []byte {
	var b []byte
	str := func(b []byte, number protowire.Number, v string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), v)
	}
	if version != "" {
		b = str(b, 1, version)
	}
	if first {
		b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), str(nil, 1, c.node))
	}
	for _, name := range c.picked {
		b = str(b, 3, name)
	}
	b = str(b, 4, loadType)
	if nonce != "" {
		b = str(b, 5, nonce)
	}
	return b
}

// send queues a gRPC message; flush writes as much as the server's windows allow.
func (c *client) send(message []byte) {
	c.pending = append(c.pending, 0)
	c.pending = binary.BigEndian.AppendUint32(c.pending, uint32(len(message)))
	c.pending = append(c.pending, message...)
}

func (c *client) flush() error {
	for len(c.pending) > 0 {
		n := min(int64(len(c.pending)), 16<<10, c.sendConn, c.sendStream)
		if n <= 0 {
			break
		}
		if err := c.framer.WriteData(stream, false, c.pending[:n]); err != nil {
			return err
		}
		c.sendConn -= n
		c.sendStream -= n
		c.pending = c.pending[n:]
	}
	if len(c.pending) == 0 {
		c.pending = nil
	}
	return c.out.Flush()
}
