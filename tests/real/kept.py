"""What is never lost, on real clouds: an instance with everything on it comes back and what differs is told, one in
a changed `default` group comes back and stays, a volume in somebody's use survives, a server that the cloud
finished while nobody looked survives, and a volume backup that is gone is noticed."""

import concurrent.futures
import functools
import re
import time

import fleet
import portrait
from claims import say, wait
from ground import ground
from subject import Subject

# How often the points of a tenant are looked at here, and how long that may take on a busy machine.
INTERVAL = 15
NOTICED = 90
# How long what must go may be busy here before it is freed.
PATIENCE = '20s'
# The time limits of the restoration whose service is away: the first one is enough where nothing else runs.
LIMITS = (60, 200)


class Kept(Subject):
    """Claims about an instance of three volumes in a `default` group, and about a whole one."""

    def __init__(self, whole, *given):
        super().__init__(*given)
        self.whole = whole
        self.call = self.dr.tenant.call

    # -- everything that an instance can carry ------------------------------

    def everything(self, backup):
        """The whole one: what differs is what is told, and nothing else."""
        restoration = self.service.restore(backup['id'], self.dr, '--keep-fixed-addresses')
        self.claim('an instance with all that it can carry is restored', restoration['state'] == 'STATE_OK')
        original, restored = self.whole.portrait, portrait.take(self.dr, restoration['instance']['serverId'])
        found = list(differing(original, restored))
        told = [one['attribute'] + ': ' + one['why'] for one in restoration['differences']]
        gaps = backup['metadata']['gaps']
        for point, now, was in found:
            self.claim('what is different is told: %s was %.120r and is %.120r' % (point, was, now),
                       any(is_of(point, words) for words in told + gaps))
        points = [point for point, _, _ in found]
        for words in told + gaps:
            # A doubt is no difference: Nova does not tell it.
            if 'order of the network cards' not in words:
                self.claim('what is told is different: %s' % words, any(is_of(point, words) for point in points))
        same = [point for point in original if point not in portrait.ASIDE and point not in points]
        say('as before: %s' % ', '.join(same))
        return restoration

    def locked(self, restoration):
        """It was locked, so it is again: nothing of it goes until somebody unlocks it."""
        server = restoration['instance']['serverId']
        code, _, words = self.service.run('restoration', 'delete', restoration['id'], '--instance', seconds=240)
        seen = self.dr.tenant.get('server', server)
        self.claim('a locked server stays when its restoration is deleted, and the answer says so', bool(
            code and seen and seen['status'] == self.whole.portrait['status'] and 'is locked' in words))
        self.call('compute', 'POST', '/servers/%s/action' % server, {'unlock': None})
        self.service.ask('restoration', 'delete', restoration['id'], '--instance', seconds=300)
        self.claim('and goes when it is unlocked', self.dr.tenant.get('server', server) is None)

    # -- a `default` group with one rule more -------------------------------

    def in_default(self, backup):
        """It comes back with all its rules, in a group of another name."""
        restoration = self.service.restore(backup['id'], self.dr)
        self.claim('an instance in a `default` group with one rule more is restored',
                   restoration['state'] == 'STATE_OK')
        server = restoration['instance']['serverId']
        seen = self.dr.tenant.get('server', server)
        self.claim('and runs', seen is not None and seen['status'] == 'ACTIVE')
        rules = [rule for port in portrait.take(self.dr, server)['ports'] for group in port['groups']
                 for rule in group['rules']]
        self.claim('with that rule', any("'port_range_min': 2222" in rule for rule in rules))
        told = ' '.join(one['attribute'] + one['why'] for one in restoration['differences'])
        self.claim('and its other name is told', 'default' in told)
        return restoration

    # -- a volume in somebody's use -----------------------------------------

    def held(self, restoration):
        """A restored volume that the tenant attached to a server of its own."""
        server, volume = restoration['instance']['serverId'], restoration['volumes'][-1]['volumeId']
        self.call('compute', 'DELETE', '/servers/%s/os-volume_attachments/%s' % (server, volume))
        self.dr.tenant.until('volume', volume, 'available')
        other = self.bystander()
        self.call('compute', 'POST', '/servers/%s/os-volume_attachments' % other,
                  {'volumeAttachment': {'volumeId': volume}}, version='2.79')
        self.dr.tenant.until('volume', volume, 'in-use')
        code, out, words = self.service.run('restoration', 'delete', restoration['id'], '--instance', seconds=240)
        ended = self.service.get('restoration', restoration['id']) if code else None
        said = ' '.join([out, words, str(ended)])
        seen = self.dr.tenant.get('volume', volume)
        self.claim('a volume that another server has stays when its restoration is deleted',
                   seen is not None and seen['status'] == 'in-use'
                   and [one['server_id'] for one in seen['attachments']] == [other])
        kept = self.call('compute', 'GET', '/servers/%s/os-volume_attachments' % other)['volumeAttachments']
        self.claim('and Nova has it too', volume in [one['volumeId'] for one in kept])
        self.claim('and the answer names who has it: %s' % words.strip()[-300:], other in said)
        self.claim('the restored server is gone', self.dr.tenant.get('server', server) is None)
        self.dr.tenant.delete('server', other)
        self.dr.tenant.until_gone('server', other)
        if code:
            self.service.ask('restoration', 'delete', restoration['id'], '--instance', seconds=240)
            self.claim('and goes with it once nobody has it', self.dr.tenant.get('volume', volume) is None)
        else:
            self.dr.tenant.delete('volume', volume)

    def bystander(self):
        """A server of the tenant's own in the target."""
        here = fleet.Fleet(self.dr, self.instance.name.split()[0])
        here.networks['net'] = {'id': self.network()}
        root = here.volume(name=here.mark + ' bystander')
        self.call('volume', 'POST', '/volumes/%s/action' % root, {'os-set_bootable': {'bootable': True}})
        return here.boot('bystander', here.mark + ' bystander', [
            fleet.disk(root, 0, delete_on_termination=True)], networks=[{'uuid': here.networks['net']['id']}]).server

    def network(self):
        """The network of the same name in the target."""
        name = self.instance.name.split()[0] + '-net'
        return self.call('network', 'GET', '/networks?name=' + name)['networks'][0]['id']

    # -- nobody looked ------------------------------------------------------

    def away(self, backup):
        """The service dies while Nova makes the server, and comes back when the time is over."""
        for limit in LIMITS:
            if self.away_for(backup, limit):
                return
            say('the time of %d s was over before the server was there' % limit)
        self.claim('a server was in the making while there was time', False)

    def away_for(self, backup, limit):
        """Whether it came so far within the limit."""
        began = time.monotonic()
        before = {one['id'] for one in self.dr.tenant.list('server', 'limit=1000')}
        restoration = self.service.restore(backup['id'], self.dr, '--time-limit', '%ds' % limit,
                                           '--name', self.instance.name.split()[0] + ' away', wait_for_end=False)

        def made():
            state = self.service.get('restoration', restoration['id'])
            if state['state'].endswith(('OK', 'ERRED')):
                return state
            return next((one for one in self.dr.tenant.list('server', 'limit=1000')
                         if one['id'] not in before), None)
        server = wait('the server in the making', made, limit + 60, 0.1)['id']
        in_time = time.monotonic() < began + limit - 5 and server != restoration['id']
        if in_time:
            self.service.kill()
        else:
            self.service.until_rest('restoration', restoration['id'])
            self.service.ask('restoration', 'delete', restoration['id'], '--instance', seconds=300)
            return False
        say('the service was killed while the server was %s' % self.dr.tenant.get('server', server)['status'])
        self.dr.tenant.until('server', server, 'active')
        wait('the end of the time', lambda: time.monotonic() > began + limit + 5, limit + 60)
        self.service.start()
        ended = self.service.until_rest('restoration', restoration['id'])
        seen = self.dr.tenant.get('server', server)
        self.claim('a server that the cloud finished after its service died stays, the time being over: %s %s' % (
            ended['state'], (ended.get('error') or {}).get('message', '')),
            seen is not None and seen['status'] == 'ACTIVE')
        self.claim('with its volumes', seen is not None and len(
            seen['os-extended-volumes:volumes_attached']) == len(self.instance.volumes))
        self.claim('and the restoration is OK', ended['state'] == 'STATE_OK')
        self.service.ask('restoration', 'delete', restoration['id'], '--instance', seconds=300)
        return True

    # -- gone behind our back -----------------------------------------------

    def hollow(self, backup):
        """A volume backup that somebody deletes in Cinder."""
        self.claim('before that it is recoverable', self.service.get('backup', backup['id'])['recoverable'])
        gone = backup['volumeBackups'][-1]['backupId']
        self.source.tenant.delete('backup', gone)
        self.source.tenant.until_gone('backup', gone)
        began = time.monotonic()

        def noticed():
            now = self.service.get('backup', backup['id'])
            return None if now['recoverable'] else now
        now = wait('the look that notices it', noticed, NOTICED, 1)
        took = time.monotonic() - began
        self.claim('a volume backup that is gone is noticed within an interval of %d s: %d s, %s' % (
            INTERVAL, took, now['unrecoverableReason']), took < 2 * INTERVAL + 15)
        self.claim('and the reason names it', gone in now['unrecoverableReason'])


# Which words of a path of a difference are about which point of a portrait.
WORDS = {
    'status': r'power|status|start',
    'locked': r'lock',
    'why locked': r'lock',
    'hostname': r'hostname',
    'addresses of its own': r'access_?ip',
    'key pair': r'key',
    'flavor': r'flavor',
    'cards': r'card|order|tag',
    'device tags': r'tag',
    'volume metadata': r'metadata|read.?only',
    'volume types': r'type',
}
PORT_WORDS = {
    'addresses': r'fixed_ip|address',
    'MAC': r'mac_address',
    'groups': r'group|rule',
    'pairs': r'pair',
    'DHCP options': r'dhcp',
    'kind of card': r'vnic',
    'admin state': r'admin_state',
    'network': r'network',
    'tags': r'tag',
}


def differing(original, restored):
    """The points that differ, those of ports one by one: name, now, before."""
    for point, now, was in portrait.differences(original, restored, {}):
        if point != 'ports' and now != was:
            yield point, now, was
    by_name = {one['name']: one for one in restored['ports']}
    for before in original['ports']:
        after = by_name.get(before['name'], {})
        for key, value in before.items():
            if key != 'id' and after.get(key) != value:
                yield 'port %s: %s' % (before['name'], key), after.get(key), value


def is_of(point, words):
    """Whether words are about a point."""
    if point.startswith('port '):
        key = point.rsplit(': ', 1)[1]
        return bool(re.search(PORT_WORDS.get(key, re.escape(key)), words, re.IGNORECASE))
    return bool(re.search(WORDS.get(point, re.escape(point)), words, re.IGNORECASE))


def main(given):
    """Makes all claims; 0 if all hold."""
    with ground(given) as here:
        built, source, dr = here.fleet, *here.sites
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            three, whole = [one.result() for one in (
                pool.submit(built.build_three), pool.submit(built.build_whole))]
        fleet.make_dual(dr.tenant, built.mark + '-dual')
        say('an instance with 3 volumes and one with everything on it are there')
        default = source.tenant.call('network', 'GET', '/security-groups?name=default&project_id='
                                     + source.project)['security_groups'][0]['id']
        rule = source.tenant.call('network', 'POST', '/security-group-rules', {'security_group_rule': {
            'security_group_id': default, 'direction': 'ingress', 'ethertype': 'IPv4', 'protocol': 'tcp',
            'port_range_min': 2222, 'port_range_max': 2222, 'remote_ip_prefix': '192.0.2.0/24'}})
        environment = here.service.environment
        environment['DRBACKUP_PATIENCE__STUCK_AFTER'] = PATIENCE
        environment['DRBACKUP_VERIFICATION__EVERY'] = '%ds' % INTERVAL
        here.service.start()
        kept = Kept(whole, here.service, source, dr, three)
        try:
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                of_three, of_whole = pool.map(
                    functools.partial(here.service.back_up, source), [three.server, whole.server])
                say('both are backed up')
                everything, in_default = [one.result() for one in (
                    pool.submit(kept.everything, of_whole), pool.submit(kept.in_default, of_three))]
            kept.locked(everything)
            kept.held(in_default)
            kept.away(of_three)
            kept.hollow(of_three)
        finally:
            source.tenant.call('network', 'DELETE', '/security-group-rules/' + rule['security_group_rule']['id'])
            for instance in (whole,):
                source.eyes.delete('server', instance.server)
                source.eyes.until_gone('server', instance.server)
            for one in source.tenant.call('network', 'GET', '/security-groups')['security_groups']:
                if one['name'] == built.mark + '-whole':
                    ports = source.tenant.call('network', 'GET', '/ports')['ports']
                    for port in ports:
                        if one['id'] in port['security_groups'] and not port['device_id']:
                            source.tenant.delete('port', port['id'])
                    source.tenant.delete('security group', one['id'])
            built.forget_whole()
    return 1 if kept.failed else 0
