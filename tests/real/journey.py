"""The journey of instances from a cloud that dies into another one; see README.md."""

import argparse
import concurrent.futures
import contextlib
import copy
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True

import callers  # noqa: E402
import figures  # noqa: E402
import fleet  # noqa: E402
import kept  # noqa: E402
import points  # noqa: E402
import portrait  # noqa: E402
import troubles  # noqa: E402
from claims import Claims, say, wait  # noqa: E402
from cloud import Site, View, strange  # noqa: E402
from content import digest, path_of, scribble, MIB  # noqa: E402
from lab import Lab  # noqa: E402
from service import REST, Service, new_word  # noqa: E402
from sweep import ours, sweep  # noqa: E402

LABELS = ('one', 'two', 'five')
CANNOT = 3


class Journey:
    """All that the parts share."""

    def __init__(self, options):
        self.options = options
        self.claims = Claims()
        state = os.environ.get('OPENSTACK_LAB', '/var/tmp/openstack-lab')
        self.lab = None if options.foreign else Lab(options.lab_scripts, state)
        self.backups_dir = None if options.foreign else os.path.join(state, 'backups')
        self.source = Site('source', options.source, options.source_admin,
                           self.lab and os.path.join(state, 'source'))
        self.dr = Site('dr', options.dr, options.dr_admin, self.lab and os.path.join(state, 'dr'))
        self.directory = tempfile.mkdtemp(prefix='drbackup-real-')
        self.service = Service(options.binary, self.directory, options.clouds_file, (self.source, self.dr))
        # How long after a failure of the cloud's a restoration tries again.
        self.service.environment['DRBACKUP_PATIENCE__PAUSE'] = '10s'
        self.fleet = fleet.Fleet(self.source, fleet.new_mark())
        self.before = {}
        self.fixtures = {}
        self.stored = set()
        self.other = None
        self.other_view = None
        self.backups = {}
        self.restorations = {}
        # The digests of what the killed DR backup holds, and which DR backups have records over there.
        self.digests = {}
        self.imported = set()
        self.known = set()

    @property
    def mark(self):
        return self.fleet.mark

    # -- before -------------------------------------------------------------

    def prepare(self):
        """What the journey needs in both clouds."""
        for site in (self.source, self.dr):
            self.before[site.name] = site.listing()
            if site.admin:
                site.raise_quotas()
        if self.lab:
            for site in (self.source, self.dr):
                self.lab.fault('delay', site.name, 'off')
            self.stored = files_below(self.backups_dir)
        self.fleet.build()
        call = self.dr.tenant
        fleet.make_network(call, self.mark + '-net', '10.77.0.0/24')
        fleet.make_network(call, self.mark + '-new', '10.79.0.0/24')
        self.make_other_project()
        self.take_fixtures()

    def take_fixtures(self):
        self.fixtures = {site.name: site.listing() for site in (self.source, self.dr)}

    def make_other_project(self):
        """A second project of the source cloud in which the same user may act."""
        site = self.source
        if not site.admin:
            return
        try:
            self.other = site.make_project(self.mark + '-other')
        except Exception as error:
            say('no second project in the source: %s' % error)
            return
        self.other_view = View(site.entry, self.other)
        fleet.make_network(self.other_view, self.mark + '-net', '10.77.0.0/24')

    def open_service(self):
        """The service starts and sees both clouds."""
        check = self.claims
        self.service.start()
        clouds = {one['name']: one for one in self.service.ask('cloud', 'list')}
        check.check('the service reaches both clouds', all(
            clouds.get(site.name, {}).get('reachable') for site in (self.source, self.dr)), clouds)
        tenants = {one['id'] for one in self.service.ask('cloud', 'tenants', '--cloud', 'source')}
        wanted = {self.source.project} | ({self.other} if self.other else set())
        check.check('it knows the tenants that its credential reaches', wanted <= tenants, tenants)

    # -- backup -------------------------------------------------------------

    def take_image(self):
        """A root disk that is no volume: all of its way but the hypervisor's part.

        The hypervisor of the pair makes the image and never puts bytes into it. So the journey puts
        them in, as a hypervisor would, and everything after that is the clouds' own work.
        """
        check, instance = self.claims, self.fleet.instances['image']
        code, words = self.service.refusal('regular-backup', 'create', instance.server, '--cloud', 'source',
                                           '--tenant', self.source.project)
        check.check('snapshots of an instance whose root is an image are refused with a way out',
                    code == 4 and 'INSTANCE_ROOT_NOT_VOLUME' in words and 'DR backup' in words,
                    (code, words))
        if not self.lab:
            check.skip('an instance on an image is backed up', 'who fills its image is not known here')
            return
        before = {site.name: site.listing() for site in (self.source, self.dr)}
        backup = self.service.back_up(self.source, instance.server, '--time-limit', '10m',
                                      wait_for_end=False)
        image = wait('the image of the root disk', lambda: next((
            one for one in self.source.tenant.list('image', 'limit=1000')
            if ('image', one['id']) not in before['source'] and one['status'] == 'queued'
            and one['name'].startswith('drb-')), None), 120)
        content = os.urandom(4 * MIB)
        formats = [{'op': 'replace', 'path': '/disk_format', 'value': 'raw'},
                   {'op': 'replace', 'path': '/container_format', 'value': 'bare'}]
        self.source.tenant.sdk.image.patch(
            '/images/' + image['id'], data=json.dumps(formats),
            headers={'Content-Type': 'application/openstack-images-v2.1-json-patch'})
        answer = self.source.tenant.sdk.image.put(
            '/images/%s/file' % image['id'], data=content,
            headers={'Content-Type': 'application/octet-stream'})
        check.check('the image that Nova made takes the bytes of a disk', answer.status_code < 400,
                    answer.text)
        backup = self.service.until_rest('backup', backup['id'])
        check.equal('an instance whose root is an image is backed up', backup['state'], 'STATE_OK')
        new = self.news('source', before['source'])
        check.check('and nothing of it but one volume backup is there',
                    len(new) == 1 and new[0].startswith('backup '), new)
        check.check('each disk at its own time is what is told',
                    (backup['consistency'] or {}).get('level') == 'LEVEL_PER_VOLUME',
                    backup['consistency'])
        restoration = self.service.restore(backup['id'], self.dr)
        self.know(restoration)
        check.equal('it is restored', restoration['state'], 'STATE_OK')
        [root] = [one['volumeId'] for one in restoration['volumes']]
        with open(path_of(self.dr, root), 'rb') as stream:
            check.check('and boots from a volume with these bytes', stream.read(len(content)) == content,
                        root)
        self.service.ask('restoration', 'delete', restoration['id'], '--instance')
        self.remove_backup(backup)
        check.equal('then the source is as before', self.news('source', before['source']), [])
        check.equal('and so is the other cloud', self.news('dr', before['dr'], 'key pair'), [])

    def back_up_all(self):
        """All three at once."""
        words = {label: new_word() for label in LABELS}
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            futures = {label: pool.submit(self.back_up, label, words[label]) for label in LABELS}
        for label, future in futures.items():
            self.backups[label] = future.result()
        again = self.service.back_up(self.source, self.fleet.instances['two'].server,
                                     '--description', 'of two', '--request-id', words['two'])
        self.claims.equal('the same request again answers with the same DR backup',
                          again['id'], self.backups['two']['id'])
        for label in LABELS:
            self.judge_backup(label)
        if self.lab:
            for instance in self.fleet.instances.values():
                for volume in instance.volumes:
                    scribble(path_of(self.source, volume), (0, 8 * MIB), (300 * MIB, 8 * MIB))
            say('the originals were overwritten: only the backups hold what was')

    def back_up(self, label, word):
        """One DR backup; what is temporary has to be gone as soon as it says OK."""
        instance = self.fleet.instances[label]
        name = instance.name if label == 'one' else instance.server
        begin = time.monotonic()
        backup = self.service.back_up(self.source, name, '--description', 'of ' + label,
                                      '--request-id', word)
        listing = self.source.listing()
        say('%s is backed up after %.1f s' % (label, time.monotonic() - begin))
        self.claims.equal('%s: nothing temporary is left when the state says OK' % label,
                          temporaries(listing, instance.volumes), [])
        return backup

    def judge_backup(self, label):
        """What a DR backup says of itself."""
        check, backup, instance = self.claims, self.backups[label], self.fleet.instances[label]
        held = backup['volumeBackups']
        check.equal('%s: the DR backup is OK' % label, backup['state'], 'STATE_OK')
        check.check('%s: it is recoverable' % label, backup['recoverable'], backup['unrecoverableReason'])
        check.equal('%s: one volume backup for each volume, in order' % label,
                    [one['volumeId'] for one in held], instance.volumes)
        check.check('%s: each is available and its record is held' % label, all(
            one['recordHeld'] and one['status'] == 'available' for one in held), held)
        check.check('%s: what was reached is told with the skew' % label,
                    backup['consistency'].get('level') == 'LEVEL_VOLUME_SNAPSHOTS'
                    and backup['consistency'].get('skew') is not None, backup['consistency'])
        manifest, seen = backup['metadata'], instance.portrait
        flavor = self.fleet.flavor
        check.equal('%s: the manifest tells what a flavor needs' % label,
                    (manifest['minRamMib'], manifest['minCores'], manifest['storageGib']),
                    (flavor['ram'], flavor['vcpus'], sum(seen['volume sizes'])))
        check.equal('%s: the manifest has no gaps' % label, manifest['gaps'], [])
        check.check('%s: user data is held and not shown' % label,
                    manifest['userDataHeld'] == bool(seen['user data']) and not manifest['userData'],
                    (manifest['userDataHeld'], manifest['userData'][:20]))
        if seen['user data']:
            shown = self.service.ask('backup', 'get', backup['id'], '--include-sensitive')
            check.equal('%s: user data is shown to those who ask' % label,
                        shown['metadata']['userData'], seen['user data'])

    def update(self):
        """A new description reaches Cinder."""
        text = 'a new word for it ☃'
        backup = self.service.ask('backup', 'update', self.backups['two']['id'], '--description', text)
        told = [self.source.tenant.get('backup', one['backupId'])['description']
                for one in backup['volumeBackups']]
        self.claims.equal('a new description is that of the Cinder backups too',
                          (backup['state'], backup['description'], told), ('STATE_OK', text, [text, text]))

    def kill_in_backup(self):
        """Nothing is lost and nothing doubled when the service dies."""
        check, instance = self.claims, self.fleet.instances['two']
        before = self.source.listing()
        if self.lab:
            self.digests['killed'] = [digest(path_of(self.source, volume)) for volume in instance.volumes]
        with self.slowly(self.source, 0.15):
            backup = self.service.back_up(self.source, instance.server, wait_for_end=False)

            def new(kind, *statuses):
                return lambda: [one for one in self.source.tenant.list(kind, 'limit=1000')
                                if (kind, one['id']) not in before and one['volume_id'] in instance.volumes
                                and (not statuses or one['status'] in statuses)]
            self.kill_when('the first snapshot', new('snapshot'), 'backup', backup)
            self.kill_when('a backup in the making', new('backup', 'creating'), 'backup', backup)
            backup = self.service.until_rest('backup', backup['id'])
        check.equal('a DR backup whose service was killed twice finishes', backup['state'], 'STATE_OK')
        made = sorted(one['volume_id'] for one in new('backup')())
        check.equal('and has one volume backup for each volume', made, sorted(instance.volumes))
        check.equal('and left nothing temporary', temporaries(self.source.listing(), instance.volumes), [])
        self.backups['killed'] = backup

    def cancel_backup(self):
        """A DR backup that is given up half-way."""
        check, instance = self.claims, self.fleet.instances['one']
        before = self.source.listing()
        with self.slowly(self.source, 0.3):
            backup = self.service.back_up(self.source, instance.server, '--capture', 'copy',
                                          wait_for_end=False)
            wait('a backup in the making', lambda: [
                one for one in self.source.tenant.list('backup', 'limit=1000')
                if ('backup', one['id']) not in before and one['status'] == 'creating'], 120)
            cancelled = self.service.ask('backup', 'cancel', backup['id'])
        check.equal('a cancelled DR backup says so', (cancelled['state'], cancelled['error']['reason']),
                    ('STATE_ERRED', 'CANCELLED'))
        check.equal('and leaves nothing behind', self.news('source', before), [])
        self.remove_backup(cancelled)
        code, _ = self.service.refusal('backup', 'get', backup['id'])
        check.equal('and is gone when it is deleted', code, 3)

    # -- restoration --------------------------------------------------------

    def switch_off(self):
        """The disaster."""
        if not self.lab:
            self.claims.skip('the source is off before the restoration', 'these clouds are not ours')
            return
        self.lab.switch_off('source')
        clouds = {one['name']: one for one in self.service.ask('cloud', 'list', '--timeout', '90s')}
        self.claims.check('the service sees that the source is off and the other cloud is not',
                          not clouds['source']['reachable'] and clouds['source']['problem']
                          and clouds['dr']['reachable'], clouds)

    def restore_all(self):
        """All three at once, the source being off."""
        wishes = {
            'one': (),
            'two': ('--keep-fixed-addresses',),
            'five': ('--keep-fixed-addresses', '--network', '%s-old=%s-new' % (self.mark, self.mark)),
        }
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            futures = {label: pool.submit(self.restore, label, *wishes[label]) for label in LABELS}
        for label, future in futures.items():
            with self.claims.part('what became of %s' % label):
                self.restorations[label] = future.result()
                self.judge_restoration(label)
        self.imported.update(LABELS)
        self.judge_records('each volume backup has one record in the other cloud')
        half = [one['name'] for one in ours(self.dr, self.fixtures['dr'], self.mark).values()
                if (one.get('name') or '').startswith('drb-') and 'object_count' not in one]
        self.claims.equal('everything has its final name', half, [])

    def restore(self, label, *wishes):
        begin = time.monotonic()
        restoration = self.service.restore(self.backups[label]['id'], self.dr, *wishes)
        say('%s is restored after %.1f s' % (label, time.monotonic() - begin))
        return restoration

    def judge_restoration(self, label):
        """Is it the same instance?"""
        check, restoration = self.claims, self.restorations[label]
        original = self.fleet.instances[label].portrait
        self.know(restoration)
        check.equal('%s: the restoration is OK' % label, restoration['state'], 'STATE_OK')
        restored = portrait.take(self.dr, restoration['instance']['serverId'])
        ports = copy.deepcopy(original['ports'])
        for port in ports:
            if label == 'one':
                port['addresses'] = restored['ports'][0]['addresses']
            if port['network'] == self.mark + '-old':
                port['network'] = self.mark + '-new'
                now = next((one for one in restored['ports'] if one['name'] == port['name']), None)
                port['addresses'] = now and now['addresses']
        cards = {name.replace(self.mark + '-old', self.mark + '-new'): tags
                 for name, tags in original['cards'].items()}
        self.judge_points(label, original, restored, {'ports': ports, 'cards': cards, 'status': 'ACTIVE'})
        self.judge_bytes(label, self.fleet.instances[label].digests, self.dr, restored['volume ids'])
        # A card has a MAC address of its own, and so it has an address where nobody asks for the old one.
        own = [one for one in restoration['adjustments'] if 'it was not asked to be kept' in one]
        told = ' '.join(one for one in restoration['adjustments'] if one not in own)
        lost = '10.78.' in told if label == 'five' else not told
        check.check('%s: %s' % (label, 'the address that could not be kept is told' if label == 'five'
                                else 'nothing else is told to be different'), lost, told)
        check.check('%s: every MAC address that is another one is told' % label, all(
            any(port['MAC'] in one for one in own) for port in original['ports']), own)

    def judge_points(self, label, original, restored, changed):
        for point, now, expected in portrait.differences(original, restored, changed):
            self.claims.equal('%s: %s as before' % (label, point), now, expected)

    def judge_records(self, text):
        """An import that is done twice, or undone, shows in the list of the other cloud."""
        wanted = [one['backupId'] for label in self.imported for one in self.backups[label]['volumeBackups']]
        now = [one['id'] for one in self.dr.eyes.list('backup', '' if self.dr.admin else 'limit=1000')
               if ('backup', one['id']) not in self.before['dr']]
        self.claims.equal(text, sorted(now), sorted(wanted))

    def judge_bytes(self, label, wanted, site, volumes):
        if not self.lab:
            self.claims.skip('%s: bytes of every volume' % label, 'the files of these clouds are out of reach')
            return
        now = [digest(path_of(site, volume)) for volume in volumes]
        self.claims.equal('%s: the bytes of all %d volumes are those of the moment of the backup' % (
            label, len(volumes)), now, wanted)

    def restore_again(self):
        """The records are there already."""
        check, before = self.claims, self.dr.listing()
        restoration = self.service.restore(self.backups['one']['id'], self.dr, '--name',
                                           self.mark + ' again', '--metadata', 'extra=yes')
        self.know(restoration)
        self.restorations['again'] = restoration
        check.equal('a second restoration of one DR backup is OK', restoration['state'], 'STATE_OK')
        self.judge_records('it imports nothing')
        check.equal('it makes one server, one volume and one port, and no second security group',
                    self.counts(self.dr, before), {'server': 1, 'volume': 1, 'port': 1})
        original = self.fleet.instances['one'].portrait
        restored = portrait.take(self.dr, restoration['instance']['serverId'])
        check.equal('it has the name and the metadata that were asked for',
                    (restored['name'], restored['metadata']),
                    (self.mark + ' again', {**original['metadata'], 'extra': 'yes'}))
        self.judge_bytes('again', self.fleet.instances['one'].digests, self.dr, restored['volume ids'])

    def kill_in_restoration(self):
        """Nothing is lost and nothing doubled when the service dies."""
        check, instance, before = self.claims, self.fleet.instances['two'], self.dr.listing()
        name = self.mark + ' killed'
        with self.slowly(self.dr, 0.1):
            restoration = self.service.restore(self.backups['killed']['id'], self.dr, '--name', name,
                                               wait_for_end=False)

            def new(kind, *statuses):
                return lambda: [one for one in self.dr.tenant.list(kind, 'limit=1000')
                                if (kind, one['id']) not in before
                                and (not statuses or one['status'] in statuses)]
            self.kill_when('the first volume', new('volume'), 'restoration', restoration)
            self.kill_when('a volume being restored', new('volume', 'restoring-backup'),
                           'restoration', restoration)
        self.kill_when('the server in the making', new('server', 'BUILD'), 'restoration', restoration,
                       optional=True)
        restoration = self.service.until_rest('restoration', restoration['id'])
        self.know(restoration)
        self.restorations['killed'] = restoration
        check.equal('a restoration whose service was killed finishes', restoration['state'], 'STATE_OK')
        check.equal('and made nothing twice', self.counts(self.dr, before),
                    {'server': 1, 'volume': 2, 'port': 1, 'backup': 2})
        self.imported.add('killed')
        self.judge_records('and imported each record once')
        restored = portrait.take(self.dr, restoration['instance']['serverId'])
        check.equal('and its volumes are attached in order', restored['volume names'],
                    instance.portrait['volume names'])
        self.judge_bytes('killed', self.digests.get('killed'), self.dr, restored['volume ids'])

    def cancel_restoration(self):
        """A restoration that is given up half-way."""
        check, before = self.claims, self.dr.listing()
        with self.slowly(self.dr, 0.2):
            restoration = self.service.restore(self.backups['one']['id'], self.dr, '--name',
                                               self.mark + ' cancelled', wait_for_end=False)
            wait('a volume being restored', lambda: [
                one for one in self.dr.tenant.list('volume', 'limit=1000')
                if ('volume', one['id']) not in before and one['status'] == 'restoring-backup'], 120)
            code, words = self.service.refusal('backup', 'delete', self.backups['one']['id'])
            check.check('a DR backup that is being restored is not deleted',
                        code == 4 and 'RESTORATIONS_RUNNING' in words, (code, words))
            cancelled = self.service.ask('restoration', 'cancel', restoration['id'])
        check.equal('a cancelled restoration says so', (cancelled['state'], cancelled['error']['reason']),
                    ('STATE_ERRED', 'CANCELLED'))
        check.equal('and leaves nothing behind', self.news('dr', before), [])
        self.judge_records('and the imported records stay')
        self.service.ask('restoration', 'delete', cancelled['id'])

    def fail_restoration(self):
        """Restorations that cannot succeed."""
        check, before = self.claims, self.dr.listing()
        flavors = self.service.ask('cloud', 'flavors', '--cloud', 'dr', '--tenant', self.dr.project,
                                   '--backup', self.backups['one']['id'])
        small = [one for one in flavors if one['shortages']]
        if small:
            code, words = self.service.refusal(
                'restoration', 'create', self.backups['one']['id'], '--cloud', 'dr', '--tenant',
                self.dr.project, '--flavor', small[0]['id'])
            short = small[0]['shortages'][0]
            missing = str(int(short['needed']) - int(short['available']))
            check.check('a flavor that is too small is refused at the door, which tells by how much',
                        code not in (0, 1) and 'FLAVOR_TOO_SMALL' in words and missing in words, (code, words))
        else:
            check.skip('a flavor that is too small is refused at the door', 'the cloud has none')
        self.judge_records('the imported records stay')

    def drop_restore(self):
        """cinder-backup of the target dies while it restores, and comes back."""
        check, before = self.claims, self.dr.listing()
        with self.slowly(self.dr, 0.3):
            restoration = self.service.restore(self.backups['one']['id'], self.dr, '--name',
                                               self.mark + ' broken', wait_for_end=False)
            wait('a volume being restored', lambda: [
                one for one in self.dr.tenant.list('volume', 'limit=1000')
                if ('volume', one['id']) not in before and one['status'] == 'restoring-backup'], 120)
            self.lab.fault('kill', 'dr', 'cinder-backup')
        self.lab.fault('start', 'dr', 'cinder-backup')
        restoration = self.service.until_rest('restoration', restoration['id'])
        self.know(restoration)
        self.restorations['broken'] = restoration
        check.equal('a restoration in which cinder-backup dies is OK all the same',
                    restoration['state'], 'STATE_OK')
        check.equal('and leaves nothing of the restore that was dropped', self.counts(self.dr, before),
                    {'server': 1, 'volume': 1, 'port': 1})
        self.judge_bytes('broken', self.fleet.instances['one'].digests, self.dr,
                         [one['volumeId'] for one in restoration['volumes']])
        self.judge_records('it imports nothing')

    def restore_in_same_cloud(self):
        """Into another project of the source."""
        if not self.other:
            self.claims.skip('a restoration to another project of the same cloud',
                             'no second project could be made')
            return
        check, before = self.claims, self.source.listing()
        restoration = self.service.restore(self.backups['one']['id'], self.source, tenant=self.other)
        self.know(restoration)
        self.restorations['same cloud'] = restoration
        check.equal('a restoration to another project of the same cloud is OK',
                    restoration['state'], 'STATE_OK')
        new = [thing for key, thing in self.source.listing().items() if key not in before]
        owners = {thing.get('project_id') or thing.get('tenant_id')
                  or thing.get('os-vol-tenant-attr:tenant_id') for thing in new}
        check.equal('everything that it made belongs to that project', owners, {self.other})
        check.equal('it needs no second record', self.counts(self.source, before).get('backup', 0), 0)
        site = copy.copy(self.source)
        site.tenant = self.other_view
        restored = portrait.take(site, restoration['instance']['serverId'])
        original = self.fleet.instances['one'].portrait
        ports = copy.deepcopy(original['ports'])
        ports[0]['addresses'] = restored['ports'][0]['addresses']
        self.judge_points('same cloud', original, restored, {'ports': ports, 'status': 'ACTIVE'})
        self.judge_bytes('same cloud', self.fleet.instances['one'].digests, self.source,
                         restored['volume ids'])

    def restore_next_door(self):
        """Into another project of the source, without an admin: the volumes change hands."""
        text = 'a restoration to another project without an admin'
        if not self.other:
            self.claims.skip(text, 'no second project could be made')
            return
        check, before, site = self.claims, self.source.listing(), copy.copy(self.source)
        site.tenant = self.other_view
        self.service.stop()
        self.service.admins = False
        self.service.start()
        try:
            with self.slowly(self.source, 0.1):
                restoration = self.service.restore(
                    self.backups['two']['id'], self.source, tenant=self.other, wait_for_end=False)

                def with_giver():
                    return [one for one in self.source.tenant.list('volume', 'limit=1000')
                            if ('volume', one['id']) not in before]
                self.kill_when('a volume of the giver', with_giver, 'restoration', restoration)
            self.kill_when('an offered volume', lambda: [
                one for one in with_giver() if one['status'] == 'awaiting-transfer'],
                'restoration', restoration, optional=True)
            restoration = self.service.until_rest('restoration', restoration['id'])
        finally:
            self.service.stop()
            self.service.admins = True
            self.service.start()
        self.know(restoration)
        self.restorations['next door'] = restoration
        check.equal(text + ' is OK', (restoration['state'], restoration.get('error')), ('STATE_OK', None))
        new = [thing for key, thing in self.source.listing().items() if key not in before]
        owners = {thing.get('project_id') or thing.get('tenant_id')
                  or thing.get('os-vol-tenant-attr:tenant_id') for thing in new}
        check.equal('everything that it made belongs to that project, the volumes too', owners, {self.other})
        made = self.counts(self.source, before)
        check.equal('it left no offer, no second volume and no second record',
                    [made.get(kind, 0) for kind in ('transfer', 'volume', 'backup')], [0, 2, 0])
        restored = portrait.take(site, restoration['instance']['serverId'])
        original = self.fleet.instances['two'].portrait
        ports = copy.deepcopy(original['ports'])
        for was, now in zip(ports, restored['ports']):
            was['addresses'] = now['addresses']
        self.judge_points('next door', original, restored, {'ports': ports, 'status': 'ACTIVE'})
        self.judge_bytes('next door', self.fleet.instances['two'].digests, self.source,
                         restored['volume ids'])

    # -- the end ------------------------------------------------------------

    def delete_restorations(self):
        """With their instances, except one."""
        check, service = self.claims, self.service
        stays = self.restorations.pop('again')
        first = self.restorations.pop('one')
        service.ask('restoration', 'delete', first['id'], '--instance')
        code, _ = service.refusal('restoration', 'get', first['id'])
        check.equal('a deleted restoration is gone, although others use its security group', code, 3)
        server = self.dr.tenant.get('server', stays['instance']['serverId'])
        check.equal('the other instance does not mind', server and server['status'], 'ACTIVE')
        service.ask('restoration', 'delete', stays['id'])
        server = self.dr.tenant.get('server', stays['instance']['serverId'])
        check.equal('an instance stays when only its restoration is deleted',
                    server and server['status'], 'ACTIVE')
        # Whoever uses the groups of another one goes first: `killed` those of `two`.
        begin = [self.restorations.pop(label) for label in ('killed', 'next door')
                 if label in self.restorations]
        for some in (begin, list(self.restorations.values())):
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda one: service.ask('restoration', 'delete', one['id'], '--instance'), some))
        for failed in service.ask('restoration', 'list', '--state', 'erred'):
            service.ask('restoration', 'delete', failed['id'])
        check.equal('no restoration is left', service.ask('restoration', 'list'), [])
        self.remove_by_hand(stays)
        self.judge_records('all imported records outlive their restorations')
        check.equal('of the instances nothing is left in the other cloud, but for the key pair',
                    self.news('dr', self.fixtures['dr'], 'backup', 'key pair'), [])
        check.equal('nor in the source', self.news('source', self.fixtures['source'], 'backup'), [])

    def remove_by_hand(self, restoration):
        """What the tenant of a restored instance does in the end."""
        view, server = self.dr.tenant, restoration['instance']['serverId']
        ports = view.list('port', 'device_id=' + server)
        view.delete('server', server)
        view.until_gone('server', server)
        for port in ports:
            view.delete('port', port['id'])
        for group in {group for port in ports for group in port['security_groups']}:
            view.delete('security group', group)
        for volume in restoration['volumes']:
            view.until('volume', volume['volumeId'], 'available')
            view.delete('volume', volume['volumeId'])
            view.until_gone('volume', volume['volumeId'])

    def delete_backups(self):
        """And all their bytes."""
        check = self.claims
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            list(pool.map(self.remove_backup, self.backups.values()))
        check.equal('no DR backup is left', self.service.ask('backup', 'list'), [])
        check.equal('the source is as it was before the first DR backup',
                    self.news('source', self.fixtures['source']), [])
        left = self.news('dr', self.fixtures['dr'], 'key pair')
        check.equal('the other cloud is as it was, but for the key pair', left, [])
        for site in (self.source, self.dr):
            gone = strange(site.listing(), self.fixtures[site.name])
            check.equal('nothing of others went in %s' % site.name, gone, [])
        if self.backups_dir:
            left = sorted(files_below(self.backups_dir) - self.stored)
            check.equal('the store of backups holds no byte of them', left[:5], [])

    def close_service(self):
        """An orderly end, and a log that anybody may read."""
        self.claims.equal('the service ends in an orderly way', self.service.stop(), 0)
        with open(self.service.log, errors='replace') as log:
            text = log.read()
        self.claims.check('its log holds no password and no token', not re.search(
            r'lab-secret|gAAAA[A-Za-z0-9_-]{20}', text))
        panics = [line for line in text.splitlines() if 'panicked' in line]
        self.claims.equal('it never panicked', panics, [])

    # -- helpers ------------------------------------------------------------

    @contextlib.contextmanager
    def slowly(self, site, seconds):
        """Slows the backups and restores of a cloud down, where that is ours to do."""
        if self.lab:
            self.lab.delay(site.name, seconds)
        try:
            yield
        finally:
            if self.lab:
                self.lab.delay(site.name, 0)

    def kill_when(self, what, probe, noun, thing, optional=False):
        """Kills the service as soon as something shows up, and starts it again."""
        def seen():
            found = probe()
            if not found and self.service.get(noun, thing['id'])['state'] in REST:
                raise RuntimeError('%s was never seen: %s' % (what, self.service.get(noun, thing['id'])))
            return found
        try:
            wait(what, seen, 120, 0.1)
        except RuntimeError:
            if not optional:
                raise
            return
        self.service.kill()
        say('the service was killed at %s' % what)
        time.sleep(1)
        self.service.start()

    def remove_backup(self, backup):
        self.service.ask('backup', 'delete', backup['id'])

    def know(self, restoration):
        """Remembers what a restoration made, for the sweeping."""
        self.known.update(one['volumeId'] for one in restoration['volumes'] if one['volumeId'])
        self.known.add(restoration['instance']['serverId'])

    def counts(self, site, before):
        """How many things of each kind are new in a cloud."""
        found = {}
        for key in site.listing():
            if key not in before:
                found[key[0]] = found.get(key[0], 0) + 1
        return found

    def news(self, name, before, *kinds):
        """What is new in a cloud, without some kinds, as lines."""
        site = self.source if name == 'source' else self.dr
        return [line for line in strange(before, site.listing()) if not line.startswith(kinds or ('-',))]

    # -- all of it ----------------------------------------------------------

    def run(self):
        """Part after part."""
        part = self.claims.part
        with part('building the instances'):
            self.prepare()
        if self.claims.failed:
            return
        with part('starting the service'):
            self.open_service()
        with part('backing up an instance on an image'):
            self.take_image()
        with part('backing up 1, 2 and 5 volumes at once'):
            self.back_up_all()
        if len(self.backups) < len(LABELS):
            return
        with part('changing the description'):
            self.update()
        with part('killing the service in a backup'):
            self.kill_in_backup()
        with part('cancelling a backup'):
            self.cancel_backup()
        with part('switching the source off'):
            self.switch_off()
        with part('restoring 1, 2 and 5 volumes at once'):
            self.restore_all()
        with part('restoring a second time'):
            self.restore_again()
        back = threading.Thread(target=self.lab.switch_on, args=('source',)) if self.lab else None
        if back:
            back.start()
        with part('killing the service in a restoration'):
            self.kill_in_restoration()
        with part('cancelling a restoration'):
            self.cancel_restoration()
        with part('failing restorations'):
            self.fail_restoration()
        if self.lab:
            with part('a restore that is dropped'):
                self.drop_restore()
        if back:
            back.join()
        with part('restoring to another project of the same cloud'):
            self.restore_in_same_cloud()
        with part('restoring to another project without an admin'):
            self.restore_next_door()
        with part('deleting the restorations'):
            self.delete_restorations()
        with part('deleting the DR backups'):
            self.delete_backups()

    def clean_up(self):
        """Leaves both clouds as they were."""
        failed = self.claims.failed
        if self.options.keep:
            say('kept: everything named %s, and %s' % (self.mark, self.directory))
            self.service.stop()
            return
        if self.lab:
            self.lab.make_well()
        begun = [site for site in (self.source, self.dr) if site.name in self.before]
        with self.claims.part('cleaning up'):
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                left = list(pool.map(lambda site: sweep(
                    site, self.before[site.name], self.mark, self.known), begun))
            self.remove_other_project()
            self.claims.check('nothing of the journey is left in either cloud', not any(left), left)
            for site in begun if self.lab else ():
                self.claims.equal('the list of everything in %s is that of the beginning' % site.name,
                                  strange(self.before[site.name], site.listing()), [])
            for site in begun:
                site.put_back_quotas()
        if failed:
            say('the log of the service: %s' % self.service.log)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def remove_other_project(self):
        if not self.other:
            return
        call = self.source.admin.call
        groups = call('network', 'GET', '/security-groups?project_id=' + self.other)['security_groups']
        for group in groups:
            call('network', 'DELETE', '/security-groups/' + group['id'], allow=(404,))
        call('identity', 'DELETE', '/projects/' + self.other, allow=(404,))
        self.other = None


def temporaries(listing, volumes):
    """Snapshots and temporary volumes of these volumes, and everything with a name for the time of work."""
    found = []
    for (kind, identifier), thing in listing.items():
        name = thing.get('name') or ''
        if kind == 'snapshot' and thing['volume_id'] in volumes:
            found.append('snapshot %s of %s' % (identifier, thing['volume_id']))
        if kind == 'volume' and any(name == 'backup-vol-' + volume for volume in volumes):
            found.append('volume %s `%s`' % (identifier, name))
    return found


def files_below(directory):
    """The files of a directory tree."""
    return {os.path.join(place, name) for place, _, names in os.walk(directory) for name in names}


def options():
    parser = argparse.ArgumentParser(prog='tests/real/run', description=__doc__)
    parser.add_argument('source', nargs='?', help='entry of clouds.yaml that acts in the source cloud')
    parser.add_argument('dr', nargs='?', help='entry of clouds.yaml that acts in the other cloud')
    parser.add_argument('--source-admin', help='entry with the admin role in the source cloud')
    parser.add_argument('--dr-admin', help='entry with the admin role in the other cloud')
    parser.add_argument('--binary', required=True, help=argparse.SUPPRESS)
    parser.add_argument('--clouds-file', required=True, help=argparse.SUPPRESS)
    parser.add_argument('--lab-scripts', help=argparse.SUPPRESS)
    parser.add_argument('--keep', action='store_true', help='leave everything in place')
    parser.add_argument('--figures', action='store_true',
                        help='measure one backup and one restoration of 3 volumes instead')
    parser.add_argument('--points', action='store_true',
                        help='show a schedule with a chain, a regular backup and the levels of '
                        'consistency instead')
    parser.add_argument('--troubles', action='store_true',
                        help='show what becomes of work while parts of a cloud are out of order instead')
    parser.add_argument('--kept', action='store_true',
                        help='show what is never lost, whatever a cloud or somebody else does, instead')
    parser.add_argument('--callers', action='store_true',
                        help='show who may do what, with tokens of both Keystones, instead')
    given = parser.parse_args()
    given.foreign = given.source is not None
    if given.foreign and not given.dr:
        parser.error('name both clouds, or none')
    if not given.foreign:
        given.source, given.dr = 'source-demo', 'dr-demo'
        given.source_admin, given.dr_admin = 'source-operator', 'dr-operator'
    return given


def main():
    given = options()
    os.environ['OS_CLIENT_CONFIG_FILE'] = given.clouds_file
    def ended(number, _frame):
        journey.service.break_off()
        raise SystemExit('ended by signal %d' % number)
    for asked, instead in ((given.figures, figures), (given.points, points), (given.troubles, troubles),
                           (given.kept, kept), (given.callers, callers)):
        if asked:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit('ended by a signal'))
            return instead.main(given)
    try:
        journey = Journey(given)
    except Exception as error:
        print('tests/real/run: could not run here: %s' % error, file=sys.stderr)
        return CANNOT
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, ended)
    try:
        journey.run()
    except SystemExit as error:
        journey.claims.check('the journey went to its end', False, error)
    finally:
        if journey.service.process and journey.service.process.poll() is None:
            with journey.claims.part('stopping the service'):
                journey.close_service()
        journey.clean_up()
    return 0 if journey.claims.end() else 1


if __name__ == '__main__':
    sys.exit(main())
