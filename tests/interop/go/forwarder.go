package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	pb "interop/ottoscaler/v1"
)

// streamDeadline is what ottoscaler sets on every stream.
const streamDeadline = 30 * time.Minute

// forwarder pushes one worker's lines as ottoscaler does: the stream is opened at the
// first line, it waits for no response, and a separate goroutine reads the responses.
type forwarder struct {
	logs      pb.OttoHandlerLogServiceClient
	task      string
	worker    string
	stream    pb.OttoHandlerLogService_ForwardWorkerLogsClient
	cancel    context.CancelFunc
	reading   sync.WaitGroup
	responses []*pb.LogForwardResponse
	endedBy   error
	sentUpTo  int
}

func newForwarder(logs pb.OttoHandlerLogServiceClient, task string, number int) *forwarder {
	worker := fmt.Sprintf("otto-agent-%s-%d", task, number)
	return &forwarder{logs: logs, task: task, worker: worker, cancel: func() {}}
}

func (f *forwarder) sendLines(count int) error {
	for range count {
		f.sentUpTo++
		if err := f.send(f.entry(fmt.Sprintf("line %d", f.sentUpTo))); err != nil {
			return fmt.Errorf("line %d: %w", f.sentUpTo, err)
		}
	}
	return nil
}

func (f *forwarder) send(entry *pb.WorkerLogEntry) error {
	if f.stream == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	return f.stream.Send(entry)
}

func (f *forwarder) open() error {
	ctx, cancel := context.WithTimeout(context.Background(), streamDeadline)
	f.cancel = cancel
	stream, err := f.logs.ForwardWorkerLogs(ctx)
	if err != nil {
		return err
	}
	f.stream = stream
	f.reading.Add(1)
	go f.readResponses()
	return nil
}

func (f *forwarder) readResponses() {
	defer f.reading.Done()
	for {
		response, err := f.stream.Recv()
		if err != nil {
			f.endedBy = err
			return
		}
		f.responses = append(f.responses, response)
		if response.Status == pb.LogForwardResponse_ACK && response.ThrottleMs > 0 {
			time.Sleep(time.Duration(response.ThrottleMs) * time.Millisecond)
		}
	}
}

// finish half-closes and waits for the responses, up to the end of limit.
func (f *forwarder) finish(limit context.Context) ([]*pb.LogForwardResponse, error) {
	stop := context.AfterFunc(limit, f.cancel)
	defer stop()
	if err := f.stream.CloseSend(); err != nil {
		return nil, err
	}
	f.reading.Wait()
	if !errors.Is(f.endedBy, io.EOF) {
		return nil, fmt.Errorf("the stream ended with %w after %d responses", f.endedBy, len(f.responses))
	}
	return f.responses, nil
}

// abandon is ottoscaler's way to end a stream: half-close, then cancel at once.
func (f *forwarder) abandon() error {
	err := f.stream.CloseSend()
	f.cancel()
	f.reading.Wait()
	return err
}

func (f *forwarder) entry(message string) *pb.WorkerLogEntry {
	now := time.Now().Format(time.RFC3339)
	return &pb.WorkerLogEntry{
		WorkerId: f.worker, TaskId: f.task, Timestamp: now, Level: "INFO", Source: "stdout", Message: message,
		PodMetadata: &pb.WorkerMetadata{PodName: f.worker, Namespace: "default", CreatedAt: now},
	}
}
