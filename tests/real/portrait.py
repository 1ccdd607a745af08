"""What an instance is, point by point, so that two of them can be compared; ids do not count."""


def take(site, server):
    """The portrait of a server. Points that only an admin sees are None without one."""
    call = site.tenant.call
    one = call('compute', 'GET', '/servers/' + server, version='2.90')['server']
    inside = site.admin.call('compute', 'GET', '/servers/' + server)['server'] if site.admin else {}
    attachments = call('compute', 'GET', '/servers/%s/os-volume_attachments' % server)['volumeAttachments']
    attachments.sort(key=lambda item: (len(item['device']), item['device']))
    volumes = [call('volume', 'GET', '/volumes/' + item['volumeId'])['volume'] for item in attachments]
    key = None
    if one['key_name']:
        pair = call('compute', 'GET', '/os-keypairs/' + one['key_name'])['keypair']
        key = (pair['name'], ' '.join(pair['public_key'].split()[:2]))
    ports = [port(site, item) for item in call(
        'network', 'GET', '/ports?device_id=' + server)['ports']]
    return {
        'status': one['status'],
        'locked': one['locked'],
        'why locked': one['locked_reason'],
        'name': one['name'],
        'hostname': one['OS-EXT-SRV-ATTR:hostname'],
        'addresses of its own': (one['accessIPv4'], one['accessIPv6']),
        'description': one['description'] or '',
        'metadata': one['metadata'],
        'tags': sorted(one['tags']),
        'key pair': key,
        'config drive': bool(one['config_drive']),
        'user data': inside.get('OS-EXT-SRV-ATTR:user_data'),
        'flavor': one['flavor']['original_name'],
        'ports': sorted(ports, key=lambda item: item['name'] + item['network']),
        'cards': cards(site, server, one),
        'volume count': len(volumes),
        'root device': len(attachments) and inside.get('OS-EXT-SRV-ATTR:root_device_name') in (
            None, attachments[0]['device']),
        'devices': [item['device'] for item in attachments],
        'delete on termination': [item['delete_on_termination'] for item in attachments],
        'device tags': [item['tag'] for item in attachments],
        'volume sizes': [volume['size'] for volume in volumes],
        'volume names': [volume['name'] or '' for volume in volumes],
        'volume descriptions': [volume['description'] or '' for volume in volumes],
        'volume types': [volume['volume_type'] for volume in volumes],
        'volume metadata': [volume['metadata'] for volume in volumes],
        'image metadata of volumes': [image_metadata(volume) for volume in volumes],
        'bootable volumes': [volume['bootable'] for volume in volumes],
        'volume ids': [volume['id'] for volume in volumes],
        'port ids': [item['id'] for item in ports],
    }


# Points that are told for people or used elsewhere, and not compared.
ASIDE = ('volume ids', 'port ids')


def image_metadata(volume):
    """The image metadata of a volume without the ids of its cloud."""
    return {key: value for key, value in volume.get('volume_image_metadata', {}).items()
            if key != 'image_id'}


def cards(site, server, one):
    """The networks and tags of its cards, those of one network in their order; Nova tells no other order."""
    interfaces = site.tenant.call('compute', 'GET', '/servers/%s/os-interface' % server)['interfaceAttachments']
    tags = {item['mac_addr']: item['tag'] for item in interfaces}
    names = {}
    for network, addresses in sorted(one['addresses'].items()):
        seen = dict.fromkeys(address['OS-EXT-IPS-MAC:mac_addr'] for address in addresses)
        names[network] = [tags.get(mac) for mac in seen]
    return names


def port(site, item):
    """One port."""
    network = site.tenant.call('network', 'GET', '/networks/' + item['network_id'])['network']['name']
    groups = [site.tenant.call('network', 'GET', '/security-groups/' + identifier)['security_group']
              for identifier in item['security_groups']]
    return {
        'id': item['id'],
        'name': item['name'],
        'network': network,
        'MAC': item['mac_address'],
        'addresses': sorted(one['ip_address'] for one in item['fixed_ips']),
        'port security': item.get('port_security_enabled', True),
        'description': item.get('description', ''),
        'admin state': item['admin_state_up'],
        'pairs': sorted((pair['ip_address'], pair['mac_address'] != item['mac_address'] and pair['mac_address'])
                        for pair in item.get('allowed_address_pairs', ())),
        'DHCP options': sorted((option['opt_name'], option['opt_value'], option['ip_version'])
                               for option in item.get('extra_dhcp_opts', ())),
        'kind of card': item.get('binding:vnic_type', 'normal'),
        'tags': sorted(item.get('tags', ())),
        'groups': sorted((group_content(site, group) for group in groups), key=lambda one: one['name']),
    }


def group_content(site, group):
    """A security group by its content; other groups are known by their name."""
    def name(identifier):
        if identifier is None:
            return None
        if identifier == group['id']:
            return 'itself'
        other = site.tenant.call('network', 'GET', '/security-groups/' + identifier)['security_group']
        return 'group ' + other['name']
    return {
        'name': group['name'],
        'description': group['description'],
        'stateful': group.get('stateful', True),
        'rules': sorted(repr({
            **{key: rule[key] for key in ('direction', 'ethertype', 'protocol', 'port_range_min',
                                          'port_range_max')},
            'remote_ip_prefix': rule.get('remote_ip_prefix'),
            'remote_group': name(rule.get('remote_group_id')),
            'remote_addresses': addresses(site, rule.get('remote_address_group_id')),
            'description': rule.get('description') or '',
        }) for rule in group['security_group_rules']),
    }


def addresses(site, identifier):
    """What is in a group of addresses."""
    if identifier is None:
        return None
    return sorted(site.tenant.call('network', 'GET', '/address-groups/' + identifier)['address_group']['addresses'])


def differences(original, restored, changed):
    """The points in which two portraits differ; `changed` says what is expected to be otherwise."""
    for point, before in original.items():
        if point in ASIDE:
            continue
        expected = changed.get(point, before)
        now = restored[point]
        if point == 'ports':
            expected, now = without_ids(expected), without_ids(now)
        yield point, now, expected


def without_ids(ports):
    """Ports by content alone; a new card has an address of its own unless somebody asks for the old one."""
    return [{key: value for key, value in one.items() if key not in ('id', 'MAC')} for one in ports]
