# Makes a DR backup of an instance, follows its events to the end, and restores it.
#
#   python3 -m venv target/example && target/example/bin/pip install grpcio-tools
#   target/example/bin/python -m grpc_tools.protoc -I proto --python_out target/example \
#       --grpc_python_out target/example proto/drbackup/v1/*.proto
#   PYTHONPATH=target/example target/example/bin/python examples/dr_backup.py \
#       127.0.0.1:7447 source demo shop dr demo    # address, cloud, tenant, instance, cloud, tenant
import sys
import time
import uuid

import grpc
from drbackup.v1 import cloud_service_pb2 as cloud, cloud_service_pb2_grpc as cloud_grpc
from drbackup.v1 import dr_backup_service_pb2 as dr, dr_backup_service_pb2_grpc as dr_grpc
from drbackup.v1 import progress_pb2 as progress
from drbackup.v1 import restoration_service_pb2 as restoration
from drbackup.v1 import restoration_service_pb2_grpc as restoration_grpc


def follow(watch, request):
    while True:
        try:
            for event in watch(request):
                request.from_sequence = event.sequence + 1
                print(event.sequence, progress.State.Name(event.state), event.runtime_state)
            if event.state != progress.STATE_OK:
                sys.exit(f"{event.error.message} {event.error.guidance}")
            return
        except grpc.RpcError as error:  # A stream that breaks goes on after the last event seen.
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            time.sleep(1)


address, source, source_tenant, instance, target, target_tenant = sys.argv[1:]
channel = grpc.insecure_channel(address)
clouds = cloud_grpc.CloudServiceStub(channel)
backups = dr_grpc.DRBackupServiceStub(channel)
restorations = restoration_grpc.RestorationServiceStub(channel)


def tenant(of, name):
    asked = cloud.ListTenantsRequest(cloud=of, filter=f'name = "{name}"')
    return clouds.ListTenants(asked).tenants[0].id


source_tenant, target_tenant = tenant(source, source_tenant), tenant(target, target_tenant)
asked = cloud.ListInstancesRequest(cloud=source, tenant=source_tenant, filter=f'name = "{instance}"')
server = clouds.ListInstances(asked).instances[0]

# The same request id again is the same request, so a lost answer may be asked for once more.
made = backups.CreateDRBackup(dr.CreateDRBackupRequest(
    cloud=source, tenant=source_tenant, instance_id=server.id, name="example", request_id=str(uuid.uuid4())))
follow(backups.WatchDRBackup, dr.WatchDRBackupRequest(id=made.id, until_settled=True))

made = restorations.CreateRestoration(restoration.CreateRestorationRequest(
    dr_backup_id=made.id, cloud=target, tenant=target_tenant, request_id=str(uuid.uuid4())))
follow(restorations.WatchRestoration, restoration.WatchRestorationRequest(id=made.id, until_settled=True))
print("server", restorations.GetRestoration(restoration.GetRestorationRequest(id=made.id)).instance.server_id)
