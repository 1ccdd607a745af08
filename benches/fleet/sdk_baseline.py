"""What a careful operator does today: an openstacksdk script with threads and the SDK's own waiting.

Backs up instances of the cloud `source`, one thread for each and one for each of their volumes, and
exports the records. With --manifest it also reads what it takes to rebuild the instances elsewhere.

    OS_CLIENT_CONFIG_FILE=clouds.yaml /usr/bin/python3 sdk_baseline.py INSTANCES [--manifest]

INSTANCES is a JSON file: a list of {"server": id, "volumes": [ids]}. Says `ready`, begins at the next
line of its standard input, and ends with one line of JSON.
"""
import concurrent.futures
import json
import sys
import time

import openstack

MARK = 'base-%d' % (time.time() % 100000)


def back_up(cloud, admin, volumes):
    """Snapshot, back up from the snapshot, export, delete the snapshot: one volume a thread."""
    def one(volume):
        snapshot = cloud.block_storage.create_snapshot(volume_id=volume, name=MARK, is_forced=True)
        cloud.block_storage.wait_for_status(snapshot, 'available', failures=['error'], interval=2, wait=600)
        backup = cloud.block_storage.create_backup(volume_id=volume, snapshot_id=snapshot.id, name=MARK)
        cloud.block_storage.wait_for_status(backup, 'available', failures=['error'], interval=2, wait=600)
        record = admin.block_storage.get('/backups/%s/export_record' % backup.id).json()
        cloud.block_storage.delete_snapshot(snapshot)
        cloud.block_storage.wait_for_delete(snapshot, interval=2, wait=600)
        return record['backup-record'], backup.id
    with concurrent.futures.ThreadPoolExecutor(len(volumes)) as pool:
        return list(pool.map(one, volumes))


def manifest(cloud, admin, server_id, volumes):
    """What a backup of volumes does not hold, and nobody can ask for once the cloud is gone."""
    server = admin.compute.get_server(server_id)
    kept = {'server': server, 'attachments': list(cloud.compute.volume_attachments(server_id)),
            'volumes': [cloud.block_storage.get_volume(one) for one in volumes],
            'ports': list(cloud.network.ports(device_id=server_id))}
    networks = {port.network_id for port in kept['ports']}
    subnets = {fixed['subnet_id'] for port in kept['ports'] for fixed in port.fixed_ips}
    groups = {group for port in kept['ports'] for group in port.security_group_ids}
    kept['networks'] = [cloud.network.get_network(one) for one in networks]
    kept['subnets'] = [cloud.network.get_subnet(one) for one in subnets]
    kept['groups'] = [cloud.network.get_security_group(one) for one in groups]
    kept['floating'] = [list(cloud.network.ips(port_id=port.id)) for port in kept['ports']]
    kept['key'] = cloud.compute.get_keypair(server.key_name) if server.key_name else None
    return kept


def main():
    with open(sys.argv[1], encoding='utf-8') as stream:
        fleet = json.load(stream)
    whole = '--manifest' in sys.argv[2:]
    cloud, admin = openstack.connect(cloud='source-demo'), openstack.connect(cloud='source-operator')
    print('ready', flush=True)
    sys.stdin.readline()
    begin = time.monotonic()

    def one(instance):
        if whole:
            manifest(cloud, admin, instance['server'], instance['volumes'])
        records = back_up(cloud, admin, instance['volumes'])
        assert len(records) == len(instance['volumes'])
    with concurrent.futures.ThreadPoolExecutor(len(fleet)) as pool:
        list(pool.map(one, fleet))
    print(json.dumps({'seconds': time.monotonic() - begin, 'computed': time.process_time()}), flush=True)


main()
