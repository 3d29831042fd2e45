// A grpc-go client whose bytes are recorded: unary and streaming calls, gzip, a cancelled call. Usage: client ADDRESS
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
)

type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error { *v.(*[]byte) = append([]byte(nil), data...); return nil }
func (rawCodec) Name() string                       { return "raw" }

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	conn, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})))
	must(err)
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(context.Background(), "x-tag", "go", "x-blob-bin", "\x00\x01\x02")

	unary := func(path, text string, options ...grpc.CallOption) {
		in, out := []byte(text), []byte{}
		must(conn.Invoke(ctx, path, &in, &out, options...))
	}
	unary("/test.Echo/Unary", "go-unary-1")
	unary("/test.Echo/Unary", "go-unary-2 go-unary-2 go-unary-2", grpc.UseCompressor("gzip"))

	stream := func(path, name string, options ...grpc.CallOption) {
		s, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, path, options...)
		must(err)
		for i := range 4 {
			in := []byte(fmt.Sprintf("%s-%d", name, i))
			must(s.SendMsg(&in))
		}
		must(s.CloseSend())
		for {
			out := []byte{}
			if s.RecvMsg(&out) != nil {
				return
			}
		}
	}
	var wait sync.WaitGroup
	for _, name := range []string{"go-stream-a", "go-stream-b"} {
		wait.Go(func() { stream("/test.Echo/Stream", name) })
	}
	wait.Wait()
	stream("/test.Echo/Join", "go-join")
	stream("/test.Echo/Stream", "go-gzip go-gzip go-gzip", grpc.UseCompressor("gzip"))

	cancelled, cancel := context.WithCancel(ctx)
	s, err := conn.NewStream(cancelled, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Echo/Stream")
	must(err)
	in, out := []byte("go-cancelled"), []byte{}
	must(s.SendMsg(&in))
	must(s.RecvMsg(&out))
	cancel()
	_ = s.RecvMsg(&out)
	unary("/test.Echo/Unary", "go-unary-3")
}
