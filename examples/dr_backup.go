// Makes a DR backup of an instance, follows its events to the end, and restores it.
//
//	out=target/example/src/example
//	options="--go_out=$out --go-grpc_out=$out --go_opt=module=example --go-grpc_opt=module=example"
//	for file in $(cd proto && ls drbackup/v1/*.proto); do
//	    options="$options --go_opt=M$file=example/drbackup --go-grpc_opt=M$file=example/drbackup"
//	done
//	mkdir -p $out && cp examples/dr_backup.go $out && protoc -I proto $options proto/drbackup/v1/*.proto
//	(cd $out && go mod init example && go mod tidy)
//	go run -C $out . 127.0.0.1:7447 source demo shop dr demo # address, cloud, tenant, instance, cloud, tenant
//
// Or without modules, over Debian's golang-google-grpc-dev and golang-github-golang-protobuf-1-5-dev:
//
//	GO111MODULE=off GOPATH=$PWD/target/example:/usr/share/gocode go run $out/dr_backup.go 127.0.0.1:7447 …
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	pb "example/drbackup"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type events interface{ Recv() (*pb.Event, error) }

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func follow(open func(from int64) (events, error)) {
	for last := new(pb.Event); ; time.Sleep(time.Second) {
		stream, err := open(last.Sequence + 1)
		for err == nil {
			var event *pb.Event
			if event, err = stream.Recv(); err == nil {
				last = event
				fmt.Println(event.Sequence, event.State, event.RuntimeState)
			}
		}
		if err == io.EOF && last.State == pb.State_STATE_OK {
			return
		} else if err == io.EOF {
			log.Fatal(last.Error.GetMessage(), " ", last.Error.GetGuidance())
		} else if status.Code(err) != codes.Unavailable {
			log.Fatal(err) // A stream that breaks goes on after the last event seen.
		}
	}
}

func main() {
	ctx, address, source, target := context.Background(), os.Args[1], os.Args[2], os.Args[5]
	channel := must(grpc.Dial(address, grpc.WithInsecure()))
	clouds, backups := pb.NewCloudServiceClient(channel), pb.NewDRBackupServiceClient(channel)
	restorations := pb.NewRestorationServiceClient(channel)

	tenant := func(cloud, name string) string {
		asked := &pb.ListTenantsRequest{Cloud: cloud, Filter: fmt.Sprintf("name = %q", name)}
		return must(clouds.ListTenants(ctx, asked)).Tenants[0].Id
	}
	from, to := tenant(source, os.Args[3]), tenant(target, os.Args[6])
	asked := &pb.ListInstancesRequest{Cloud: source, Tenant: from, Filter: fmt.Sprintf("name = %q", os.Args[4])}
	server := must(clouds.ListInstances(ctx, asked)).Instances[0]

	// Name a RequestId, too, and a request whose answer was lost may be asked once more.
	backup := must(backups.CreateDRBackup(ctx, &pb.CreateDRBackupRequest{
		Cloud: source, Tenant: from, InstanceId: server.Id, Name: "example"}))
	follow(func(from int64) (events, error) {
		return backups.WatchDRBackup(ctx, &pb.WatchDRBackupRequest{Id: backup.Id, FromSequence: from, UntilSettled: true})
	})

	made := must(restorations.CreateRestoration(ctx, &pb.CreateRestorationRequest{
		DrBackupId: backup.Id, Cloud: target, Tenant: to}))
	follow(func(from int64) (events, error) {
		return restorations.WatchRestoration(ctx, &pb.WatchRestorationRequest{Id: made.Id, FromSequence: from, UntilSettled: true})
	})
	fmt.Println("server", must(restorations.GetRestoration(ctx, &pb.GetRestorationRequest{Id: made.Id})).Instance.ServerId)
}
