// Command interop runs the interop cases against a running otto-handler with grpc-go.
//
// Usage: interop-go ADDR TAP. TAP is ADDR by way of the runner's counting proxy.
// It prints `versions: ...`, then `case: ok` or `case: FAIL reason` for every case.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "interop/ottoscaler/v1"
)

// caseLimit bounds one case, so that a hanging server fails one cell and not the table.
const caseLimit = 30 * time.Second

type target struct {
	conn *grpc.ClientConn
	logs pb.OttoHandlerLogServiceClient
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: interop-go ADDR TAP")
		os.Exit(2)
	}
	direct, tapped := dial(os.Args[1]), dial(os.Args[2])
	fmt.Printf("versions: grpc-go %s, go %s\n", grpc.Version, runtime.Version()[2:])
	run("push", direct, pushAcknowledgesEveryLine)
	run("cancel", tapped, cancelRightAfterHalfClose)
	run("deadline", direct, thirtyMinuteDeadline)
	run("drop", direct, dropLeavesTheStreamOpen)
	run("status", direct, statusReceivedThenIgnored)
	run("health", direct, healthIsServing)
	run("reflection", direct, reflectionListsTheServices)
}

func dial(address string) target {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return target{conn: conn, logs: pb.NewOttoHandlerLogServiceClient(conn)}
}

func run(name string, to target, check func(context.Context, target) error) {
	ctx, cancel := context.WithTimeout(context.Background(), caseLimit)
	defer cancel()
	if err := check(ctx, to); err != nil {
		fmt.Printf("%s: FAIL %v\n", name, err)
		return
	}
	fmt.Printf("%s: ok\n", name)
}
