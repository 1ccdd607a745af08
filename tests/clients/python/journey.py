"""A caller that knows nothing but `proto/` and an address.

Generates its stubs, looks around, makes a DR backup, loses its stream halfway, goes on by sequence
until the backup is OK, and compares what it was told with what is there. Prints one line per step;
ends with 0 if every promise was kept, else with 1 and the promise that wasn't.
"""

import argparse
import pathlib
import sys
import tempfile
import uuid

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from grpc_status import rpc_status
from grpc_tools import protoc


def stubs(proto, out):
    """Generates the stubs of every file of the package, to be imported from now on."""
    files = sorted(str(path) for path in pathlib.Path(proto, "drbackup/v1").glob("*.proto"))
    # The well-known types come with the tools.
    known = pathlib.Path(protoc.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{proto}", f"-I{known}", f"--python_out={out}", f"--grpc_python_out={out}"]
    promise(protoc.main(arguments + files) == 0, "the protos compile with protoc")
    sys.path.insert(0, out)


class Broken(Exception):
    """A promise that wasn't kept."""


def wait_for(channel):
    try:
        grpc.channel_ready_future(channel).result(timeout=30)
    except grpc.FutureTimeoutError:
        raise Broken("the server answers at that address") from None


def promise(kept, what):
    if not kept:
        raise Broken(what)


def say(text):
    print(text, flush=True)


def refusal(call, code, detail):
    """The detail of a refusal, which must have this code."""
    try:
        call()
    except grpc.RpcError as error:
        promise(error.code() == code, f"{code} was expected, not {error.code()}: {error.details()}")
        for one in rpc_status.from_call(error).details:
            if one.Is(detail.DESCRIPTOR):
                found = detail()
                one.Unpack(found)
                return found
        raise Broken(f"a refusal with {code} carries {detail.DESCRIPTOR.name}") from error
    raise Broken(f"{code} was expected, not an answer")


def look_around(channel, asked):
    from drbackup.v1 import cloud_service_pb2 as messages
    from drbackup.v1 import cloud_service_pb2_grpc as services

    health = health_pb2_grpc.HealthStub(channel)
    answer = health.Check(health_pb2.HealthCheckRequest(service="drbackup.v1.DRBackupService"))
    promise(answer.status == health_pb2.HealthCheckResponse.SERVING, "the service is healthy")

    names = ProtoReflectionDescriptorDatabase(channel).get_services()
    for name in ("DRBackupService", "RestorationService", "CloudService"):
        promise(f"drbackup.v1.{name}" in names, f"reflection shows {name}")
    say(f"reflection shows {len(names)} services")

    clouds = services.CloudServiceStub(channel)
    listed = [one.name for one in clouds.ListClouds(messages.ListCloudsRequest()).clouds]
    promise(asked.cloud in listed, f"cloud {asked.cloud} is listed among {listed}")
    seen, token = [], ""
    while True:
        page = clouds.ListInstances(
            messages.ListInstancesRequest(
                cloud=asked.cloud, tenant=asked.tenant, page_size=1, page_token=token
            )
        )
        seen += [one.id for one in page.instances]
        token = page.next_page_token
        if not token:
            break
    promise(asked.instance in seen, f"instance {asked.instance} is listed among {seen}")
    promise(len(seen) == len(set(seen)), "no instance is on two pages")
    say(f"{len(listed)} clouds, {len(seen)} instances in the tenant")


def back_up(channel, asked):
    from drbackup.v1 import dr_backup_service_pb2 as messages
    from drbackup.v1 import dr_backup_service_pb2_grpc as services
    from drbackup.v1 import progress_pb2

    backups = services.DRBackupServiceStub(channel)

    bad = refusal(
        lambda: backups.CreateDRBackup(messages.CreateDRBackupRequest(name="n" * 300)),
        grpc.StatusCode.INVALID_ARGUMENT,
        error_details_pb2.BadRequest,
    )
    fields = {one.field for one in bad.field_violations}
    promise(fields >= {"cloud", "tenant", "instance_id", "name"}, f"all bad fields are told: {fields}")

    wanted = messages.CreateDRBackupRequest(
        cloud=asked.cloud,
        tenant=asked.tenant,
        instance_id=asked.instance,
        name=asked.name,
        description="made by a Python client",
        request_id=str(uuid.uuid4()),
    )
    backup = backups.CreateDRBackup(wanted)
    say(f"DR backup {backup.id}: {progress_pb2.State.Name(backup.state)}")
    promise(backups.CreateDRBackup(wanted).id == backup.id, "a repeated request is the same request")
    other = messages.CreateDRBackupRequest()
    other.CopyFrom(wanted)
    other.description = "something else"
    reason = refusal(
        lambda: backups.CreateDRBackup(other),
        grpc.StatusCode.ALREADY_EXISTS,
        error_details_pb2.ErrorInfo,
    )
    promise(reason.domain == "drbackup" and reason.reason, "a refusal has a reason of ours")

    told = follow(backups, messages, progress_pb2, backup.id, asked.timeout)
    again = backups.WatchDRBackup(
        messages.WatchDRBackupRequest(id=backup.id, until_settled=True), timeout=asked.timeout
    )
    promise(list(again) == told, "a replay tells the same story")

    last = told[-1]
    backup = backups.GetDRBackup(messages.GetDRBackupRequest(id=backup.id))
    promise(last.state == progress_pb2.STATE_OK, f"it ends well: {last.error.message or last.runtime_state}")
    promise(backup.state == last.state, "stream and read tell the same state")
    promise(backup.runtime_state == last.runtime_state, "stream and read tell the same runtime state")
    promise(backup.recoverable, f"it is recoverable: {backup.unrecoverable_reason}")
    promise(not backup.metadata.user_data, "what is sensitive is told only when asked for")
    promise(
        {one.volume_id for one in backup.volume_backups}
        == {one.volume_id for one in backup.metadata.volumes},
        "every volume has a volume backup",
    )
    manifest = backup.metadata
    say(
        f"{len(manifest.volumes)} volumes, needs {manifest.min_cores} cores, "
        f"{manifest.min_ram_mib} MiB RAM, {manifest.storage_gib} GiB"
    )

    page = backups.ListDRBackups(
        messages.ListDRBackupsRequest(
            filter=f'cloud = "{asked.cloud}" AND instance_id = "{asked.instance}" AND state = OK'
        )
    )
    promise(backup.id in [one.id for one in page.dr_backups], "a filtered list shows it")

    present = backups.WatchDRBackups(
        messages.WatchDRBackupsRequest(filter=f'instance_id = "{asked.instance}"'),
        timeout=asked.timeout,
    )
    promise(any(one == last for one in present), "a stream over many tells where it stands")
    present.cancel()
    return backup


def follow(backups, messages, progress_pb2, id, timeout):
    """All events until rest, over a stream that breaks after each second event."""
    told, at_rest = [], (progress_pb2.STATE_OK, progress_pb2.STATE_ERRED)
    while True:
        start = told[-1].sequence + 1 if told else 0
        stream = backups.WatchDRBackup(
            messages.WatchDRBackupRequest(id=id, from_sequence=start, until_settled=True),
            timeout=timeout,
        )
        broken = False
        for event in stream:
            promise(
                event.sequence == len(told) + 1,
                f"event {len(told) + 1} comes next, not {event.sequence}",
            )
            told.append(event)
            done, total = event.progress.effects_done, event.progress.effects_total
            state = progress_pb2.State.Name(event.state)
            say(f"  {event.sequence:3} {state} {event.runtime_state} ({done}/{total})")
            if len(told) % 2 == 0:
                stream.cancel()
                broken = True
                break
        if not broken:
            promise(told and told[-1].state in at_rest, "the stream ends only at rest")
            return told


def delete(channel, asked, backup):
    from drbackup.v1 import dr_backup_service_pb2 as messages
    from drbackup.v1 import dr_backup_service_pb2_grpc as services
    from drbackup.v1 import progress_pb2

    backups = services.DRBackupServiceStub(channel)
    refusal(
        lambda: backups.DeleteDRBackup(messages.DeleteDRBackupRequest(id=backup.id, etag='"old"')),
        grpc.StatusCode.ABORTED,
        error_details_pb2.ErrorInfo,
    )
    backups.DeleteDRBackup(messages.DeleteDRBackupRequest(id=backup.id, etag=backup.etag))
    stream = backups.WatchDRBackup(
        messages.WatchDRBackupRequest(id=backup.id), timeout=asked.timeout
    )
    states = [event.state for event in stream]
    promise(states[-1] == progress_pb2.STATE_DELETED, "the stream of a deleted backup ends by itself")
    refusal(
        lambda: backups.GetDRBackup(messages.GetDRBackupRequest(id=backup.id)),
        grpc.StatusCode.NOT_FOUND,
        error_details_pb2.ResourceInfo,
    )
    say(f"DR backup {backup.id}: deleted")


def main():
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--proto", required=True, help="the folder of the protos")
    reader.add_argument("--address", required=True, help="host:port of the server")
    reader.add_argument("--cloud", required=True, help="name of the source cloud")
    reader.add_argument("--tenant", required=True, help="id of the tenant")
    reader.add_argument("--instance", required=True, help="id of the instance")
    reader.add_argument("--name", default="python journey", help="name of the DR backup")
    reader.add_argument("--timeout", type=float, default=600, help="seconds to wait at most")
    reader.add_argument("--delete", action="store_true", help="delete the DR backup in the end")
    asked = reader.parse_args()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="drbackup-stubs-") as out,
            grpc.insecure_channel(asked.address) as channel,
        ):
            stubs(asked.proto, out)
            wait_for(channel)
            look_around(channel, asked)
            backup = back_up(channel, asked)
            if asked.delete:
                delete(channel, asked, backup)
    except Broken as broken:
        sys.exit(f"broken promise: {broken}")
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
    say("every promise was kept")


if __name__ == "__main__":
    main()
