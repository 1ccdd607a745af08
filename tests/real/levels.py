"""How well the volumes of a point agree: held still, as a group, refused; on real clouds."""

import concurrent.futures
import contextlib
import os

from claims import wait
from cloud import describe
from subject import Subject

# What a root volume says when Nova has to have the guest hold still.
STILL = {'hw_qemu_guest_agent': 'yes', 'os_require_quiesce': 'yes'}
PROMISE = {'consistent_group_snapshot_enabled': '<is> True'}


class Levels(Subject):
    """Claims about one instance of two volumes, whose root asks for a guest that holds still."""

    def __init__(self, service, source, dr, instance, mark):
        super().__init__(service, source, dr, instance)
        self.mark = mark
        self.call = source.tenant.call

    # -- asking -------------------------------------------------------------

    def refused(self, server, level):
        """The words with which a DR backup of at least this level is refused; the code of them is 4."""
        code, words = self.service.refusal('backup', 'create', server, '--cloud', self.source.name,
                                           '--tenant', self.source.project, '--consistency', level)
        return words if code == 4 else ''

    def back_up(self, *more):
        """A DR backup of what changed, at its end."""
        return self.at_end(self.service.back_up(self.source, self.instance.server, *more, wait_for_end=False))

    def at_end(self, backup):
        """A DR backup at its end, whatever that is."""
        return self.service.until_rest('backup', backup['id'], seconds=300)

    def left(self, volumes):
        """What is there of DR backups of these volumes, as lines; no other instance is asked for an image."""
        listing = self.source.listing()
        temporary = ['backup-vol-' + one for one in volumes]
        groups = self.call('volume', 'GET', '/group_snapshots')['group_snapshots']
        return sorted(describe(key, thing) for key, thing in listing.items()
                      if key[0] in ('snapshot', 'backup') and thing['volume_id'] in volumes
                      or key[0] == 'volume' and thing['name'] in temporary
                      or key[0] == 'image' and (thing['name'] or '').startswith('drb-')) + [
                          'group snapshot ' + one['id'] for one in groups]

    def only_backups(self, left):
        """How many volume backups are left; None where there is anything else."""
        return len(left) if all(one.startswith('backup ') for one in left) else None

    # -- held still ---------------------------------------------------------

    def quiesced(self):
        """Nova has the guest hold still, and what it makes for that is gone when the state says OK."""
        backup = self.back_up('--consistency', 'quiesced')
        left = self.left(self.instance.volumes)
        self.claim('a DR backup of a guest that has to hold still is OK', backup['state'] == 'STATE_OK')
        self.claim('and says that it held still', level(backup) == 'LEVEL_QUIESCED')
        self.claim('and Nova did have it hold still', self.was_asked())
        self.claim('nothing is left of it but its volume backups: no image, and no snapshot of Nova',
                   self.only_backups(left) == 2)
        return backup

    def was_asked(self):
        """Whether Nova tells in its log that it held this guest still, and nothing of passing it over."""
        with open(os.path.join(self.source.state, 'log', 'nova-api.log'), errors='replace') as log:
            lines = [line for line in log if self.instance.server in line]
        return (any('Attempting to quiesce' in line for line in lines)
                and not any('Skipping quiescing' in line for line in lines))

    def not_still(self, other):
        """What a guest does not allow is refused: at the door, or when Nova tells that it was not asked."""
        words = self.refused(other.server, 'quiesced')
        self.claim('a guest that nobody can ask is refused at the door, with the field and what is missing',
                   all(one in words for one in ('minimum_consistency', 'CONSISTENCY_NOT_REACHABLE',
                                                'hw_qemu_guest_agent')))
        # Too late for Nova, which keeps what the volume said when the server was made.
        self.set_still(other.volumes[0])
        backup = self.at_end(self.service.back_up(self.source, other.server, '--consistency', 'quiesced',
                                                  wait_for_end=False))
        self.unset_still(other.volumes[0])
        self.claim('a guest whose properties came after its server is told apart, and the DR backup erred',
                   backup['state'] == 'STATE_ERRED' and 'CONSISTENCY_NOT_REACHED' in str(backup['error']))
        self.claim('and nothing is left of that', self.left(other.volumes) == [])

    def set_still(self, volume):
        """A volume asks for a guest that holds still."""
        self.call('volume', 'POST', '/volumes/%s/action' % volume, {
            'os-set_image_metadata': {'metadata': STILL}})

    def unset_still(self, volume):
        """It asks no more."""
        for key in STILL:
            self.call('volume', 'POST', '/volumes/%s/action' % volume, {'os-unset_image_metadata': {'key': key}})

    # -- as a group ---------------------------------------------------------

    @contextlib.contextmanager
    def grouped(self):
        """The volumes are in a group whose type promises snapshots of one moment.

        Cinder takes the promise without asking the driver, and the one of the pair does not keep it: it
        makes the snapshots one after the other. What is shown is the way there and back, not the moment.
        """
        admin = self.source.admin.call
        kinds = {self.source.tenant.get('volume', one)['volume_type'] for one in self.instance.volumes}
        types = self.call('volume', 'GET', '/types')['volume_types']
        kind = admin('volume', 'POST', '/group_types', {'group_type': {
            'name': self.mark, 'is_public': True, 'group_specs': PROMISE}})['group_type']['id']
        group = None
        try:
            group = self.call('volume', 'POST', '/groups', {'group': {
                'name': self.mark, 'group_type': kind,
                'volume_types': [one['id'] for one in types if one['name'] in kinds]}})['group']['id']
            self.until_group(group)
            self.change_group(group, 'add_volumes')
            yield
        finally:
            if group:
                self.disband(group)
            admin('volume', 'DELETE', '/group_types/' + kind)

    def disband(self, group):
        """A volume group goes; its volumes stay, and what a failure has left of its snapshots does not."""
        def left():
            return self.call('volume', 'GET', '/group_snapshots')['group_snapshots']
        for path in ['/group_snapshots/' + one['id'] for one in left()]:
            self.source.admin.call('volume', 'POST', path + '/action', {'reset_status': {'status': 'error'}},
                                   allow=(404,))
            self.call('volume', 'DELETE', path, allow=(404,))
        wait('the end of its snapshots', lambda: not left(), 60)
        self.change_group(group, 'remove_volumes')
        self.call('volume', 'POST', '/groups/%s/action' % group, {'delete': {'delete-volumes': False}})
        wait('the end of the group', lambda: self.group(group) is None, 60)

    def group(self, group):
        """A volume group, or None when it is gone."""
        answer = self.call('volume', 'GET', '/groups/' + group, allow=(404,))
        return answer and answer['group']

    def until_group(self, group):
        """Waits until something can be done with a volume group."""
        wait('the group', lambda: self.group(group)['status'] == 'available', 60)

    def change_group(self, group, how):
        """All volumes of the instance go into a group, or leave it."""
        self.call('volume', 'PUT', '/groups/' + group, {'group': {how: ','.join(self.instance.volumes)}})
        self.until_group(group)

    def as_group(self):
        """A promise that the driver does not keep is not believed."""
        before = self.left(self.instance.volumes)
        words = self.refused(self.instance.server, 'group')
        self.claim('a group over a driver without group snapshots is refused at the door, with the field',
                   'minimum_consistency' in words and 'the driver of its volumes' in words)
        self.write(300)
        then = self.digests()
        backup = self.back_up('--incremental')
        left = self.left(self.instance.volumes)
        self.claim('where nothing is demanded snapshots one by one are taken, and that is told',
                   backup['state'] == 'STATE_OK' and level(backup) == 'LEVEL_VOLUME_SNAPSHOTS')
        self.claim('nothing is left but volume backups', self.only_backups(left) == len(before) + 2)
        return backup, then

    # -- all of it ----------------------------------------------------------

    def all(self):
        """Every level that this instance can reach."""
        then = self.digests()
        still = self.quiesced()
        self.unset_still(self.instance.volumes[0])
        with self.grouped():
            grouped, later = self.as_group()
        there = self.restored(still['id'], '--cloud', self.dr.name, '--tenant', self.dr.project, site=self.dr)
        self.claim('what held still comes back in the other cloud with its bytes', there == then)
        there = self.restored(grouped['id'], '--cloud', self.source.name, '--tenant', self.source.project,
                              site=self.source)
        self.claim('and what was in a group in its own with those of its moment', there == later)
        for backup in (grouped, still):
            self.service.ask('backup', 'delete', backup['id'], seconds=300)
        self.claim('the DR backups of every level are deleted, and nothing of them is there',
                   self.left(self.instance.volumes) == [])


def build(fleet):
    """An instance of two volumes whose root asks for a guest that holds still."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        volumes = list(pool.map(lambda number: fleet.volume(name='%s still %d' % (fleet.mark, number)), range(2)))
    for action in ({'os-set_bootable': {'bootable': True}}, {'os-set_image_metadata': {'metadata': STILL}}):
        fleet.view.call('volume', 'POST', '/volumes/%s/action' % volumes[0], action)
    return fleet.build_plain('still', volumes)


def level(backup):
    """What was reached."""
    return (backup['consistency'] or {}).get('level')
