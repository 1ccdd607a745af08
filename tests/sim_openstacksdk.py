"""Drives two clouds with openstacksdk as an operator would: servers from volumes, snapshots, backups,
records, restores, servers again. Exits with an error at the first thing that is not as in OpenStack.

    OS_CLIENT_CONFIG_FILE=clouds.yaml sim_openstacksdk.py SOURCE_URL DR_URL

The clouds are called `source` and `dr`; the URLs are those of the simulator's control endpoints, by which
guests write into their volumes.
"""
import os
import sys

import openstack
import requests

SOURCE, DR = sys.argv[1], sys.argv[2]
MIB = 1 << 20
MARK = 'journey'


def write(base, volume, offset, data):
    requests.put('%s/_sim/volumes/%s/bytes?offset=%d' % (base, volume, offset), data=data).raise_for_status()


def read(base, volume, offset, length):
    answer = requests.get('%s/_sim/volumes/%s/bytes?offset=%d&length=%d' % (base, volume, offset, length))
    answer.raise_for_status()
    return answer.content


def wait(cloud, resource, wanted='available'):
    fresh = {'Volume': cloud.block_storage.get_volume, 'Snapshot': cloud.block_storage.get_snapshot,
             'Backup': cloud.block_storage.get_backup}[type(resource).__name__](resource.id)
    return cloud.block_storage.wait_for_status(
        fresh, wanted, failures=['error', 'error_restoring'], interval=0.05, wait=30)


def network(cloud):
    one = cloud.network.create_network(name=MARK)
    cloud.network.create_subnet(name=MARK, network_id=one.id, ip_version=4, cidr='10.88.0.0/24')
    return one


def boot(cloud, net, name, volumes):
    cloud.block_storage.set_volume_bootable_status(volumes[0], True)
    flavor = cloud.compute.find_flavor('m1.tiny')
    server = cloud.compute.create_server(
        name=name, flavor_id=flavor.id, networks=[{'uuid': net.id}],
        block_device_mapping=[{'uuid': volume.id, 'source_type': 'volume', 'destination_type': 'volume',
                               'boot_index': 0 if v == 0 else -1} for v, volume in enumerate(volumes)])
    server = cloud.compute.wait_for_server(server, interval=0.05, wait=30)
    assert server.addresses[MARK], 'the server has no address'
    for volume in volumes:
        wait(cloud, volume, 'in-use')
    return server


def journey():
    source, dr = openstack.connect(cloud='source-demo'), openstack.connect(cloud='dr-demo')
    source_op, dr_op = openstack.connect(cloud='source-operator'), openstack.connect(cloud='dr-operator')
    for cloud, name in ((source, 'source'), (dr, 'dr')):
        admin = openstack.connect(cloud=name + '-admin')
        admin.block_storage.put('/os-quota-sets/' + cloud.current_project_id, json={'quota_set': {
            'volumes': 500, 'snapshots': 500, 'backups': 500, 'gigabytes': 5000, 'backup_gigabytes': 5000}})
        admin.compute.put('/os-quota-sets/' + cloud.current_project_id, json={'quota_set': {'instances': 100}})
    nets = [network(source), network(dr)]
    made = [source.block_storage.create_volume(name='%s-%d' % (MARK, v), size=1) for v in range(2)]
    data = []
    for volume in made:
        wait(source, volume)
        data.append(os.urandom(3 * MIB))
        write(SOURCE, volume.id, 50 * MIB + 7, data[-1])
    server = boot(source, nets[0], MARK, made)

    backups = []
    for incremental in (False, True):
        for v, volume in enumerate(made):
            snapshot = source.block_storage.create_snapshot(volume_id=volume.id, name=MARK, is_forced=True)
            wait(source, snapshot)
            backup = source.block_storage.create_backup(
                volume_id=volume.id, snapshot_id=snapshot.id, name='%s-%d' % (MARK, v),
                is_incremental=incremental)
            backup = wait(source, backup)
            assert backup.is_incremental == incremental
            source.block_storage.delete_snapshot(snapshot)
            source.block_storage.wait_for_delete(snapshot, interval=0.05, wait=30)
            backups.append(backup.id)
            data[v] = data[v][:MIB] + bytes(MIB) + data[v][2 * MIB:]
            write(SOURCE, volume.id, 50 * MIB + 7, data[v])
    refused = source.block_storage.get('/backups/%s/export_record' % backups[0])
    assert refused.status_code == 403, refused.text
    records = [source_op.block_storage.get('/backups/%s/export_record' % one).json()['backup-record']
               for one in backups]

    for record, one in zip(records, backups):
        imported = dr_op.block_storage.post('/backups/import_record', json={'backup-record': record})
        assert imported.status_code == 201 and imported.json()['backup']['id'] == one, imported.text
        wait(dr, dr.block_storage.get_backup(one))
    again = dr_op.block_storage.post('/backups/import_record', json={'backup-record': records[0]})
    assert again.status_code == 400 and 'already exists' in again.text, again.text
    restored = []
    for v, one in enumerate(backups[2:]):
        volume = dr.block_storage.create_volume(name='%s-r%d' % (MARK, v), size=1)
        wait(dr, volume)
        dr.block_storage.restore_backup(one, volume_id=volume.id)
        restored.append(wait(dr, volume))
        assert read(DR, volume.id, 50 * MIB + 7, 3 * MIB) == data[v], 'the restored bytes differ'
    copy = boot(dr, nets[1], MARK, restored)
    return source, dr, source_op, server, copy


def look(cloud, admin, server):
    """Everything that the SDK can list, parsed by it."""
    project = cloud.current_project_id
    compute, block, net = cloud.compute, cloud.block_storage, cloud.network
    assert [one.name for one in compute.servers(name='^%s$' % MARK)] == [MARK]
    assert len(compute.get_server(server.id).attached_volumes) == 2
    assert len(list(compute.volume_attachments(server))) == 2
    assert {one.name for one in compute.flavors()} >= {'m1.nano', 'm1.tiny', 'm1.small'}
    key = compute.create_keypair(name=MARK, public_key='ssh-ed25519 AAAA test')
    assert compute.get_keypair(MARK).public_key == key.public_key
    assert [one.name for one in compute.keypairs()] == [MARK]
    assert list(compute.availability_zones()) and list(compute.server_groups()) == []
    assert compute.get_limits().absolute.instances >= 1
    assert cloud.get_compute_quotas(project) or True
    compute.put('/servers/%s/tags/gold' % server.id, microversion='2.26').raise_for_status()
    compute.set_server_metadata(server, tier='gold')
    assert compute.get_server(server.id).metadata['tier'] == 'gold'
    assert len(list(block.volumes())) == 2 and len(list(block.backups())) == 4
    assert len(list(block.backups(name=MARK + '-0'))) == 2
    assert len(list(block.volumes(limit=1))) == 2, 'pages are not followed'
    assert len(list(block.backups(limit=3))) == 4, 'pages are not followed'
    assert list(block.snapshots()) == [] and {one.name for one in block.types()} >= {'standard', 'fast'}
    assert block.get_quota_set(project, usage=True).usage['volumes'] == 2
    assert block.get_limits().absolute.total_volumes_used == 2
    block.set_volume_metadata(block.find_volume(list(block.volumes())[0].name), role='root')
    found = block.get('/volumes/detail', params={'metadata': '{"role": "root"}'}).json()['volumes']
    assert len(found) == 1
    assert {one.name for one in net.networks()} == {MARK, 'public'}
    assert [one.cidr for one in net.subnets()] == ['10.88.0.0/24']
    port = list(net.ports(device_id=server.id))[0]
    assert port.status == 'ACTIVE' and port.fixed_ips[0]['ip_address'] == '10.88.0.2'
    group = net.create_security_group(name=MARK)
    assert len(group.security_group_rules) == 2
    net.create_security_group_rule(security_group_id=group.id, direction='ingress', protocol='tcp',
                                   port_range_min=22, port_range_max=22, ethertype='IPv4')
    assert len(net.get_security_group(group.id).security_group_rules) == 3
    fixed = net.create_port(network_id=port.network_id, fixed_ips=[{'ip_address': '10.88.0.77'}],
                            security_groups=[group.id])
    try:
        net.create_port(network_id=port.network_id, fixed_ips=[{'ip_address': '10.88.0.77'}])
        raise SystemExit('an address was given twice')
    except openstack.exceptions.ConflictException:
        pass
    net.delete_port(fixed)
    net.set_tags(port, ['gold'])
    assert len(list(net.ports(tags='gold'))) == 1
    assert net.get_quota(project).ports == 500 and list(net.extensions())
    router = net.create_router(name=MARK)
    assert [one.name for one in net.routers()] == [MARK] and list(net.ips()) == []
    net.delete_router(router)
    image = cloud.create_image(MARK, data=b'image' * 1000, disk_format='raw', container_format='bare', wait=True)
    assert cloud.image.get_image(image.id).status == 'active' and len(list(cloud.image.images())) == 1
    assert cloud.image.download_image(image.id).content == b'image' * 1000
    assert {one.name for one in cloud.identity.user_projects(cloud.current_user_id)} == {'demo', 'second'}
    assert len(admin.block_storage.get('/os-services').json()['services']) == 3


def clean(cloud, server):
    volumes = list(cloud.block_storage.volumes())
    cloud.compute.delete_server(server)
    cloud.compute.wait_for_delete(server, interval=0.05, wait=30)
    for volume in volumes:
        wait(cloud, volume)
        cloud.block_storage.delete_volume(volume)
        cloud.block_storage.wait_for_delete(volume, interval=0.05, wait=30)
    assert list(cloud.block_storage.volumes()) == []
    assert list(cloud.network.ports()) == []


def main():
    source, dr, source_op, server, copy = journey()
    look(source, source_op, server)
    clean(source, server)
    clean(dr, copy)
    print('the journey went well')


main()
