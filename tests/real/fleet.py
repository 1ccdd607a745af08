"""The instances of the journey: with everything on them that a restoration can get wrong."""

import base64
import concurrent.futures
import dataclasses
import os
import uuid

import content
import portrait
from claims import say

LONGEST = 255
# Nobody has the other half.
PUBLIC_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSL2Z8G6cRIvTQ4W5fQ5V0a2pQ5h8s2y7kZgqf3Vq1C journey'


@dataclasses.dataclass
class Instance:
    """An instance to be backed up, and what is known of it."""

    label: str
    server: str
    name: str
    # In the order of the devices.
    volumes: list = dataclasses.field(default_factory=list)
    portrait: dict = dataclasses.field(default_factory=dict)
    digests: list = dataclasses.field(default_factory=list)


def longest(mark, word):
    """A name as long as OpenStack allows, partly beyond ASCII."""
    text = '%s %s äöü ' % (mark, word)
    return text + 'é' * (LONGEST - len(text) - 1) + '.'


class Fleet:
    """What the journey builds in a source cloud before it begins."""

    def __init__(self, site, mark):
        self.site = site
        self.view = site.tenant
        self.mark = mark
        self.networks = {}
        self.groups = {}
        self.image = None
        # A group of addresses that the whole one has.
        self.addresses = None
        self.instances = {}
        flavors = sorted(self.view.call('compute', 'GET', '/flavors/detail')['flavors'],
                         key=lambda one: (one['ram'], one['vcpus'], one['disk']))
        # The largest that is small: a smaller one is there to be refused.
        self.flavor = next((one for one in flavors if one['ram'] >= 512), flavors[-1])
        self.types = [one['name'] for one in self.view.call('volume', 'GET', '/types')['volume_types']
                      if one['name'] != '__DEFAULT__']

    # -- what instances stand on --------------------------------------------

    def make_surroundings(self):
        """Networks, security groups, a key pair, an image."""
        self.networks['net'] = make_network(self.view, self.mark + '-net', '10.77.0.0/24')
        self.networks['old'] = make_network(self.view, self.mark + '-old', '10.78.0.0/24')
        call = self.view.call
        for word in ('web', 'db'):
            self.groups[word] = call('network', 'POST', '/security-groups', {'security_group': {
                'name': '%s-%s ☃' % (self.mark, word), 'description': 'group %s of the journey' % word,
                'stateful': word == 'web'}})['security_group']['id']
        web, db = self.groups['web'], self.groups['db']
        for rule in (
                {'security_group_id': web, 'direction': 'ingress', 'protocol': 'tcp', 'ethertype': 'IPv4',
                 'port_range_min': 22, 'port_range_max': 22, 'remote_ip_prefix': '192.0.2.0/24',
                 'description': 'a way in'},
                {'security_group_id': web, 'direction': 'ingress', 'protocol': 'icmp', 'ethertype': 'IPv4',
                 'port_range_min': 8, 'port_range_max': 0},
                {'security_group_id': web, 'direction': 'ingress', 'ethertype': 'IPv4',
                 'remote_group_id': web},
                {'security_group_id': web, 'direction': 'ingress', 'protocol': 'udp', 'ethertype': 'IPv6',
                 'port_range_min': 6000, 'port_range_max': 6100},
                # The other side of this one is a group that the instance itself need not have.
                {'security_group_id': db, 'direction': 'ingress', 'protocol': 'tcp', 'ethertype': 'IPv4',
                 'port_range_min': 5432, 'port_range_max': 5432, 'remote_group_id': web},
                {'security_group_id': db, 'direction': 'ingress', 'protocol': '112', 'ethertype': 'IPv4'}):
            call('network', 'POST', '/security-group-rules', {'security_group_rule': rule})
        # One of the two rules that every new group has goes, so that they are not taken for granted.
        rules = call('network', 'GET', '/security-group-rules?security_group_id=' + db)
        six = next(one['id'] for one in rules['security_group_rules']
                   if one['direction'] == 'egress' and one['ethertype'] == 'IPv6')
        call('network', 'DELETE', '/security-group-rules/' + six)
        call('compute', 'POST', '/os-keypairs', {'keypair': {'name': self.mark}})
        self.image = call('image', 'POST', '/v2/images', {
            'name': self.mark, 'disk_format': 'raw', 'container_format': 'bare', 'min_disk': 1,
            'os_type': 'linux', 'hw_disk_bus': 'virtio'})['id']
        answer = self.view.sdk.image.put(
            '/images/%s/file' % self.image, data=os.urandom(4 * content.MIB),
            headers={'Content-Type': 'application/octet-stream'})
        if answer.status_code >= 400:
            raise RuntimeError('the image was refused: %s' % answer.text)
        self.view.until('image', self.image, 'active')

    def volume(self, **more):
        """A volume with our mark on it."""
        more.setdefault('size', 1)
        more.setdefault('metadata', {})['journey'] = self.mark
        made = self.view.call('volume', 'POST', '/volumes', {'volume': more})['volume']['id']
        return self.view.until('volume', made, 'available')['id']

    def fill(self, volume, *places):
        """Random bytes for a volume, where its file can be reached."""
        if self.site.state:
            content.scribble(content.path_of(self.site, volume), *places)

    def port(self, **more):
        """A port."""
        return self.view.call('network', 'POST', '/ports', {'port': more})['port']['id']

    def boot(self, label, name, devices, version=None, **more):
        """A server, waited for."""
        body = {'name': name, 'flavorRef': self.flavor['id'], **more}
        if devices:
            body['block_device_mapping_v2'] = devices
        made = self.view.call('compute', 'POST', '/servers', {'server': body}, version=version)['server']['id']
        instance = Instance(label, made, name)
        self.instances[label] = instance
        self.view.until('server', made, 'active', seconds=240)
        return instance

    # -- the instances ------------------------------------------------------

    def build_one(self):
        """One volume, made from an image; a name beyond ASCII."""
        root = self.volume(name='%s корень ☃' % self.mark, imageRef=self.image,
                           description='made from an image', metadata={'role': 'корень ☃', 'with space': 'x'})
        self.fill(root, (100 * content.MIB, 3 * content.MIB), (-70000, 70000))
        return self.boot(
            'one', '%s eins ☃ 名前 naïve' % self.mark, [disk(root, 0)],
            description='the only one: „ä“ & <b> %s \\ "', key_name=self.mark,
            networks=[{'uuid': self.networks['net']['id']}],
            security_groups=[{'name': self.groups['web']}],
            metadata={'tier': 'gold', 'key with space': 'wert ☃', 'long': 'v' * LONGEST},
            tags=['journey', 'ä tag', 'x' * 60],
            user_data=base64.b64encode('#cloud-config\n# %s ☃\n'.encode() % self.mark.encode()).decode())

    def build_two(self):
        """A data volume larger than the root, attached later; the longest names."""
        root = self.volume(name=longest(self.mark, 'root'))
        data = self.volume(name=longest(self.mark, 'data'), size=2, description=longest(self.mark, 'told'),
                           metadata={'purpose': 'data', 'k' * LONGEST: 'v' * LONGEST})
        self.view.call('volume', 'POST', '/volumes/%s/action' % root,
                       {'os-set_bootable': {'bootable': True}})
        self.fill(root, (0, content.MIB), (700 * content.MIB + 5, 2 * content.MIB))
        self.fill(data, (3, content.MIB), (1400 * content.MIB, 3 * content.MIB), (-4096, 4096))
        instance = self.boot(
            'two', longest(self.mark, 'two'), [disk(root, 0)],
            description=longest(self.mark, 'about'), key_name=self.mark, config_drive=True,
            networks=[{'uuid': self.networks['net']['id'], 'fixed_ip': '10.77.0.50'}],
            security_groups=[{'name': self.groups['db']}], metadata={'data': 'two'},
            user_data=base64.b64encode(os.urandom(900)).decode())
        self.view.call('compute', 'POST', '/servers/%s/os-volume_attachments' % instance.server, {
            'volumeAttachment': {'volumeId': data, 'tag': 'data-disk', 'delete_on_termination': False}})
        self.view.until('volume', data, 'in-use')
        return instance

    def build_five(self):
        """Five volumes whose order is not that of their making, two ports, one of them bare."""
        first, second = self.types[0], self.types[-1]
        wishes = (
            {'name': '%s five data' % self.mark, 'volume_type': second, 'size': 2},
            {'name': '%s five root' % self.mark, 'volume_type': first},
            {'volume_type': second, 'metadata': {'name': 'none'}},
            {'name': '%s five also bootable' % self.mark, 'description': 'boots too, but is not the root'},
            {'name': '%s five' % self.mark, 'volume_type': first, 'metadata': {'last': 'yes'}},
        )
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            volumes = list(pool.map(lambda wish: self.volume(**wish), wishes))
        for number, volume in enumerate(volumes):
            self.fill(volume, (number * 10 * content.MIB, content.MIB),
                      (300 * content.MIB + number * 1000, 2 * content.MIB))
        for bootable in (1, 3):
            self.view.call('volume', 'POST', '/volumes/%s/action' % volumes[bootable],
                           {'os-set_bootable': {'bootable': True}})
        self.view.call('volume', 'POST', '/volumes/%s/action' % volumes[1], {
            'os-set_image_metadata': {'metadata': {'hw_disk_bus': 'scsi', 'journey': self.mark}}})
        default = self.view.call('network', 'GET', '/security-groups?name=default&project_id='
                                 + self.site.project)['security_groups'][0]['id']
        net, old = self.networks['net'], self.networks['old']
        ports = [
            self.port(network_id=net['id'], name=self.mark + ' front',
                      fixed_ips=[{'subnet_id': net['subnet'], 'ip_address': '10.77.0.60'}],
                      security_groups=[self.groups['web'], default]),
            self.port(network_id=old['id'], name=self.mark + ' bare', port_security_enabled=False,
                      security_groups=[]),
        ]
        devices = [disk(volumes[1], 0), disk(volumes[4], -1), disk(volumes[0], -1, tag='fast'),
                   disk(volumes[3], -1), disk(volumes[2], -1, delete_on_termination=True)]
        return self.boot('five', '%s five' % self.mark, devices, networks=[{'port': one} for one in ports],
                         tags=['five'], metadata={'count': '5'})

    def build_three(self):
        """Three plain volumes, to measure with."""
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            volumes = list(pool.map(lambda number: self.volume(name='%s %d' % (self.mark, number)), range(3)))
        self.make_bootable(volumes[0])
        return self.build_plain('three', volumes)

    def build_single(self):
        """One plain volume."""
        volume = self.volume(name=self.mark + ' 0')
        self.make_bootable(volume)
        return self.build_plain('single', [volume])

    def make_bootable(self, volume):
        """Lets an instance boot from a volume."""
        self.view.call('volume', 'POST', '/volumes/%s/action' % volume, {'os-set_bootable': {'bootable': True}})

    def build_plain(self, label, volumes):
        """An instance of these volumes and nothing else on it, the first of them its root."""
        for volume in volumes:
            self.fill(volume, (50 * content.MIB, 5 * content.MIB))
        instance = self.boot(label, '%s %s' % (self.mark, label), [disk(one, -1 if number else 0)
                                                                   for number, one in enumerate(volumes)],
                             networks=[{'uuid': self.networks['net']['id']}])
        self.look(instance)
        return instance

    def build_whole(self):
        """One with everything on it that an instance of this pair can carry."""
        call = self.view.call
        key = self.mark + '@laptop.example'
        call('compute', 'POST', '/os-keypairs', {'keypair': {'name': key, 'public_key': PUBLIC_KEY}},
             version='2.92')
        group = call('network', 'POST', '/security-groups', {'security_group': {
            'name': self.mark + '-whole', 'description': 'of the whole'}})['security_group']['id']
        self.addresses = call('network', 'POST', '/address-groups', {'address_group': {
            'name': self.mark, 'addresses': ['192.0.2.0/25', '2001:db8:9::/64']}})['address_group']['id']
        for rule in ({'port_range_min': 443, 'port_range_max': 443, 'remote_address_group_id': self.addresses},
                     {'port_range_min': 22, 'port_range_max': 22, 'remote_ip_prefix': '192.0.2.128/25'}):
            call('network', 'POST', '/security-group-rules', {'security_group_rule': {
                'security_group_id': group, 'direction': 'ingress', 'protocol': 'tcp', 'ethertype': 'IPv4', **rule}})
        dual = make_dual(self.view, self.mark + '-dual')
        net = self.networks['net']
        front = self.port(
            network_id=net['id'], name=self.mark + ' front', description='the front ☃', security_groups=[group],
            fixed_ips=[{'ip_address': '10.77.0.90'}], allowed_address_pairs=[{'ip_address': '10.77.0.200'}],
            extra_dhcp_opts=[{'opt_name': 'bootfile-name', 'opt_value': 'x.pxe'}])
        call('network', 'PUT', '/ports/%s/tags' % front, {'tags': ['first']})
        both = self.port(network_id=dual['id'], name=self.mark + ' both', security_groups=[])
        bare = self.port(network_id=net['id'], name=self.mark + ' bare', admin_state_up=False,
                         port_security_enabled=False)
        root = self.volume(name=self.mark + ' whole root', description='the root')
        data = self.volume(name=self.mark + ' whole data', volume_type=self.types[-1], size=2)
        call('volume', 'POST', '/volumes/%s/action' % root, {'os-set_bootable': {'bootable': True}})
        call('volume', 'POST', '/volumes/%s/action' % root, {
            'os-set_image_metadata': {'metadata': {'hw_disk_bus': 'scsi'}}})
        call('volume', 'POST', '/volumes/%s/action' % data, {'os-update_readonly_flag': {'readonly': True}})
        for volume in (root, data):
            self.fill(volume, (20 * content.MIB, 2 * content.MIB))
        networks = [{'port': front, 'tag': 'one'}, {'port': both, 'tag': 'two'}, {'port': bare, 'tag': 'three'}]
        instance = self.boot(
            'whole', self.mark + ' whole', [disk(root, 0), disk(data, -1, tag='data', delete_on_termination=True)],
            version='2.90', description='all of it', hostname='whole-host', key_name=key, config_drive=True,
            networks=networks, metadata={'role': 'all'}, tags=['whole'], accessIPv4='192.0.2.7',
            user_data=base64.b64encode(b'#cloud-config\n').decode())
        # Nova takes no port without an address, and minds no one that loses it later.
        call('network', 'PUT', '/ports/' + bare, {'port': {'fixed_ips': []}})
        action = '/servers/%s/action' % instance.server
        call('compute', 'POST', action, {'os-stop': None})
        self.view.until('server', instance.server, 'shutoff')
        call('compute', 'POST', action, {'lock': {'locked_reason': 'not yet'}})
        self.look(instance)
        return instance

    def forget_whole(self):
        """Takes away what of it no list of things has."""
        if self.addresses:
            self.view.call('network', 'DELETE', '/address-groups/' + self.addresses, allow=(404, 409))

    def build_image(self):
        """One whose root is no volume."""
        return self.boot('image', '%s image' % self.mark, None, imageRef=self.image,
                         networks=[{'uuid': self.networks['net']['id']}])

    def build(self):
        """Everything."""
        self.make_surroundings()
        say('networks, groups, key pair and image are there')
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for future in [pool.submit(build) for build in (
                    self.build_one, self.build_two, self.build_five, self.build_image)]:
                future.result()
        for label in ('one', 'two', 'five'):
            self.look(self.instances[label])
        say('instances with 1, 2 and 5 volumes, and one with its root in an image')

    def look(self, instance):
        """Writes down what an instance is now."""
        instance.portrait = portrait.take(self.site, instance.server)
        instance.volumes = instance.portrait['volume ids']
        if self.site.state:
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                instance.digests = list(pool.map(
                    lambda volume: content.digest(content.path_of(self.site, volume)), instance.volumes))


def disk(volume, index, tag=None, delete_on_termination=False):
    """A block device of a server to boot."""
    device = {'uuid': volume, 'source_type': 'volume', 'destination_type': 'volume', 'boot_index': index,
              'delete_on_termination': delete_on_termination}
    return {**device, 'tag': tag} if tag else device


def make_network(view, name, cidr):
    """A network with one subnet."""
    network = view.call('network', 'POST', '/networks', {'network': {'name': name}})['network']
    subnet = view.call('network', 'POST', '/subnets', {'subnet': {
        'name': name, 'network_id': network['id'], 'ip_version': 4, 'cidr': cidr,
        'enable_dhcp': False}})['subnet']
    return {'id': network['id'], 'name': name, 'subnet': subnet['id']}


def make_dual(view, name):
    """A network with a subnet of either version of IP, where cards give themselves the address of the newer."""
    made = make_network(view, name, '10.92.0.0/24')
    view.call('network', 'POST', '/subnets', {'subnet': {
        'name': name + '-six', 'network_id': made['id'], 'ip_version': 6, 'cidr': '2001:db8:92::/64',
        'ipv6_address_mode': 'slaac', 'ipv6_ra_mode': 'slaac'}})
    return made


def new_mark():
    """A word by which everything of one journey is known."""
    return 'journey-' + uuid.uuid4().hex[:6]
