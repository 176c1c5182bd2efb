// A Go client of some gRPC servers that are restarted: balanced by round_robin, which skips those whose health service says
// that they are not serving. No retry policy. It calls until its standard input ends, and says how many calls there were,
// and which of them failed.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/health"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const config = `{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}`

// Counts what becomes of the calls.
type tally struct {
	sync.Mutex
	calls, told int
	failed      map[string]int
}

func (t *tally) count(told bool, err error) {
	t.Lock()
	defer t.Unlock()
	t.calls++
	if told {
		t.told++
	}
	if err != nil {
		t.failed[err.Error()]++
	}
}

// The message of the servers has the same form on the wire.
func number(value uint64) *wrapperspb.UInt64Value { return wrapperspb.UInt64(value) }

func expect(is, should uint64) error {
	if is != should {
		return fmt.Errorf("%d instead of %d", is, should)
	}
	return nil
}

// Each returns whether the server has ended the call for a drain.
type call func(ctx context.Context, conn *grpc.ClientConn) (bool, error)

func say(ctx context.Context, conn *grpc.ClientConn) (bool, error) {
	answer := number(0)
	if err := conn.Invoke(ctx, "/ebbtide.Talk/Say", number(7), answer); err != nil {
		return false, err
	}
	return false, expect(answer.Value, 7)
}

func count(ctx context.Context, conn *grpc.ClientConn) (bool, error) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/ebbtide.Talk/Count")
	if err != nil {
		return false, err
	}
	if err := stream.SendMsg(number(1)); err != nil && err != io.EOF {
		return false, err
	}
	if err := stream.CloseSend(); err != nil {
		return false, err
	}
	for value := uint64(1); value <= 200; value++ {
		answer := number(0)
		err := stream.RecvMsg(answer)
		if status.Code(err) == codes.Unavailable && strings.Contains(status.Convert(err).Message(), "draining") {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if err := expect(answer.Value, value); err != nil {
			return false, err
		}
	}
	return false, nil
}

func sum(ctx context.Context, conn *grpc.ClientConn) (bool, error) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, "/ebbtide.Talk/Sum")
	if err != nil {
		return false, err
	}
	for value := uint64(1); value <= 10; value++ {
		if err := stream.SendMsg(number(value)); err != nil && err != io.EOF {
			return false, err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return false, err
	}
	answer := number(0)
	if err := stream.RecvMsg(answer); err != nil {
		return false, err
	}
	return false, expect(answer.Value, 55)
}

func echo(ctx context.Context, conn *grpc.ClientConn) (bool, error) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/ebbtide.Talk/Echo")
	if err != nil {
		return false, err
	}
	for value := uint64(1); value <= 20; value++ {
		// What ended the stream is what RecvMsg says.
		if err := stream.SendMsg(number(value)); err != nil && err != io.EOF {
			return false, err
		}
		answer := number(0)
		if err := stream.RecvMsg(answer); err != nil {
			return false, err
		}
		if err := expect(answer.Value, value); err != nil {
			return false, err
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := stream.CloseSend(); err != nil {
		return false, err
	}
	if err := stream.RecvMsg(number(0)); err != io.EOF {
		return false, fmt.Errorf("%v instead of the end", err)
	}
	return false, nil
}

func main() {
	servers := manual.NewBuilderWithScheme("servers")
	var state resolver.State
	for _, addr := range os.Args[1:] {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: addr})
	}
	servers.InitialState(state)
	// It comes back within a second to a server that was restarted.
	again := grpc.ConnectParams{MinConnectTimeout: 5 * time.Second}
	again.Backoff.BaseDelay, again.Backoff.Multiplier, again.Backoff.MaxDelay = 20*time.Millisecond, 1.6, time.Second
	conn, err := grpc.Dial("servers:///talk", grpc.WithInsecure(), grpc.WithBlock(), grpc.WithResolvers(servers),
		grpc.WithDefaultServiceConfig(config), grpc.WithConnectParams(again), grpc.WithDisableRetry())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}

	over := make(chan struct{})
	total := &tally{failed: map[string]int{}}
	var calling sync.WaitGroup
	for _, method := range []call{say, say, say, say, count, count, sum, echo} {
		calling.Add(1)
		go func(method call) {
			defer calling.Done()
			for {
				select {
				case <-over:
					return
				default:
				}
				// Cancelled, so that a count ends.
				ctx, cancel := context.WithCancel(context.Background())
				total.count(method(ctx, conn))
				cancel()
			}
		}(method)
	}
	io.Copy(io.Discard, os.Stdin)
	close(over)
	calling.Wait()

	failed := 0
	for _, times := range total.failed {
		failed += times
	}
	fmt.Printf("%d calls, %d streams ended by a drain, %d failed\n", total.calls, total.told, failed)
	for what, times := range total.failed {
		fmt.Printf("  %d x %s\n", times, what)
	}
	if total.calls == 0 || failed > 0 {
		os.Exit(1)
	}
}
