package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	pb "interop/ottoscaler/v1"
)

const (
	pushedLines      = 200
	pushingWorkers   = 3
	cancelledLines   = 1000
	cancelledStreams = 10
	logService       = "ottoscaler.v1.OttoHandlerLogService"
)

func pushAcknowledgesEveryLine(ctx context.Context, to target) error {
	failures := make(chan error, pushingWorkers)
	for number := range pushingWorkers {
		go func() { failures <- pushAndCheck(ctx, newForwarder(to.logs, "go-push", number+1), pushedLines) }()
	}
	var failed error
	for range pushingWorkers {
		failed = errors.Join(failed, <-failures)
	}
	return failed
}

// cancelRightAfterHalfClose only sends; the runner knows what reached the server and reads it back.
func cancelRightAfterHalfClose(_ context.Context, to target) error {
	for number := range cancelledStreams {
		worker := newForwarder(to.logs, "go-cancel", number+1)
		if err := worker.sendLines(cancelledLines); err != nil {
			return err
		}
		if err := worker.abandon(); err != nil {
			return err
		}
	}
	return nil
}

// thirtyMinuteDeadline is ottoscaler's header; a second stream then goes on with the same worker.
func thirtyMinuteDeadline(ctx context.Context, to target) error {
	first := newForwarder(to.logs, "go-deadline", 1)
	if err := pushAndCheck(ctx, first, 10); err != nil {
		return err
	}
	next := newForwarder(to.logs, "go-deadline", 1)
	next.sentUpTo = 10
	return pushAndCheck(ctx, next, 10)
}

func dropLeavesTheStreamOpen(ctx context.Context, to target) error {
	worker := newForwarder(to.logs, "go-drop", 1)
	nameless := worker.entry("lost")
	nameless.TaskId = ""
	for _, entry := range []*pb.WorkerLogEntry{worker.entry("line 1"), nameless, worker.entry("line 2")} {
		if err := worker.send(entry); err != nil {
			return err
		}
	}
	responses, err := worker.finish(ctx)
	if err != nil {
		return err
	}
	err = expectResponses(responses, pb.LogForwardResponse_ACK, pb.LogForwardResponse_DROP, pb.LogForwardResponse_ACK)
	if err == nil && !strings.Contains(responses[1].Message, "task_id") {
		err = fmt.Errorf("the reason %q does not name task_id", responses[1].Message)
	}
	return err
}

func statusReceivedThenIgnored(ctx context.Context, to target) error {
	notification := &pb.WorkerStatusNotification{
		WorkerId: "otto-agent-go-status-1", TaskId: "go-status", Status: pb.WorkerStatusNotification_RUNNING,
		Timestamp: "2025-09-01T12:34:56Z", Reason: "started",
	}
	for _, want := range []pb.WorkerStatusAck_Status{pb.WorkerStatusAck_RECEIVED, pb.WorkerStatusAck_IGNORED} {
		ack, err := to.logs.NotifyWorkerStatus(ctx, notification)
		if err != nil {
			return err
		}
		if ack.Status != want {
			return fmt.Errorf("%v instead of %v: %s", ack.Status, want, ack.Message)
		}
	}
	return nil
}

func healthIsServing(ctx context.Context, to target) error {
	client := grpc_health_v1.NewHealthClient(to.conn)
	for _, service := range []string{"", logService} {
		response, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil {
			return fmt.Errorf("service %q: %w", service, err)
		}
		if response.Status != grpc_health_v1.HealthCheckResponse_SERVING {
			return fmt.Errorf("service %q is %v", service, response.Status)
		}
	}
	_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "no.such.Service"})
	if status.Code(err) != codes.NotFound {
		return fmt.Errorf("an unknown service responds with %v instead of NotFound", err)
	}
	return nil
}

func reflectionListsTheServices(ctx context.Context, to target) error {
	stream, err := reflection.NewServerReflectionClient(to.conn).ServerReflectionInfo(ctx)
	if err != nil {
		return err
	}
	list := &reflection.ServerReflectionRequest_ListServices{ListServices: "*"}
	if err := stream.Send(&reflection.ServerReflectionRequest{MessageRequest: list}); err != nil {
		return err
	}
	response, err := stream.Recv()
	if err != nil {
		return err
	}
	var names []string
	for _, service := range response.GetListServicesResponse().GetService() {
		names = append(names, service.Name)
	}
	if !slices.Contains(names, logService) || !slices.Contains(names, "grpc.health.v1.Health") {
		return fmt.Errorf("listed: %v", names)
	}
	return stream.CloseSend()
}

func pushAndCheck(ctx context.Context, worker *forwarder, lines int) error {
	if err := worker.sendLines(lines); err != nil {
		return err
	}
	responses, err := worker.finish(ctx)
	if err != nil {
		return err
	}
	return expectResponses(responses, slices.Repeat([]pb.LogForwardResponse_Status{pb.LogForwardResponse_ACK}, lines)...)
}

// expectResponses wants one response per entry, in order, numbered from 1.
func expectResponses(responses []*pb.LogForwardResponse, want ...pb.LogForwardResponse_Status) error {
	if len(responses) != len(want) {
		return fmt.Errorf("%d responses to %d entries", len(responses), len(want))
	}
	for index, response := range responses {
		if response.Status != want[index] || response.Sequence != int64(index+1) {
			return fmt.Errorf("response %d is %v", index+1, response)
		}
	}
	return nil
}
