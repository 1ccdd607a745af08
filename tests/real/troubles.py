"""Parts of a cloud out of order in the middle of work, and clouds that do not allow it, on real clouds: every
operation ends as it should, and both clouds are clean afterwards."""

import concurrent.futures
import contextlib
import functools
import os
import time

from claims import say, wait
from cloud import strange
from ground import ground
from service import Service
from subject import Subject

# What is under way while a cloud is in trouble takes longer than this.
TOKEN_SECONDS = 60
# How long what must go may be busy here before it is freed: what a message that was lost leaves.
PATIENCE = '30s'
# How long after a failure of the cloud's something is tried again here.
PAUSE = '10s'
# And how long a restoration of which a message may be lost is waited for, before it is undone.
LIMIT = '3m'


class Troubles(Subject):
    """Claims about an instance of three volumes."""

    def __init__(self, lab, *given):
        super().__init__(*given)
        self.lab = lab
        self.to_dr = ('--cloud', self.dr.name, '--tenant', self.dr.project)

    def no_backup_service(self):
        """cinder-backup dies while it makes volume backups, and is started anew."""
        backup = self.under_way('dropped')
        with self.lab.without(self.source.name, 'cinder-backup', 'kill'):
            self.lab.delay(self.source.name, 0)
        backup = self.service.until_rest('backup', backup['id'])
        self.claim('cinder-backup died in a backup and came back: it is OK', backup['state'] == 'STATE_OK')
        return backup

    def under_way(self, name):
        """A DR backup whose volume backups are being made, slowly."""
        before = {one['id'] for one in self.source.tenant.list('backup', 'limit=1000')}
        self.lab.delay(self.source.name, 1)
        backup = self.service.back_up(self.source, self.instance.server, '--name', name, wait_for_end=False)
        wait('a volume backup under way', lambda: [
            one for one in self.source.tenant.list('backup', 'limit=1000')
            if one['id'] not in before and one['status'] == 'creating'], 120)
        return backup

    # -- two at once, one in each cloud --------------------------------------

    def frozen_api(self):
        """cinder-api stands still for a minute while volume backups are made."""
        then = self.digests()
        began = time.monotonic()
        backup = self.under_way('frozen')
        with self.lab.freeze(self.source.name, 'cinder-api'):
            # As long as that, and until a call to it has been given up.
            told = self.words_of('backup', backup, until=time.monotonic() + 60, some=True)
        self.lab.delay(self.source.name, 0)
        backup = self.service.until_rest('backup', backup['id'])
        self.claim('cinder-api stood still for a minute in a backup: it is OK', backup['state'] == 'STATE_OK')
        self.claim('and whoever asked meanwhile was told why it waits: %s' % ' | '.join(sorted(told)),
                   any('Cinder' in one and 'no answer' in one for one in told))
        self.outlived(began, 'the backup')
        return backup, then

    def no_queue(self, backup):
        """The message queue ends while volumes are restored, and comes back."""
        self.lab.delay(self.dr.name, 3)
        began = time.monotonic()
        restoration = self.service.restore(backup['id'], self.dr, '--time-limit', LIMIT, wait_for_end=False)
        wait('a volume being restored', lambda: [
            one for one in self.dr.tenant.list('volume', 'limit=1000')
            if one['status'] == 'restoring-backup'], 120)
        with self.lab.without(self.dr.name, 'rabbitmq'):
            self.words_of('restoration', restoration, until=time.monotonic() + 15)
        self.words_of('restoration', restoration, until=began + TOKEN_SECONDS)
        self.lab.delay(self.dr.name, 0)
        restoration = self.service.until_rest('restoration', restoration['id'])
        message = (restoration.get('error') or {}).get('message', '')
        self.claim('the message queue went and came back in a restoration: it is OK, or says why not and leaves '
                   'nothing: %s %s' % (restoration['state'], message),
                   restoration['state'] == 'STATE_OK' or message and 'left behind' not in message)
        self.outlived(began, 'the restoration')

    def words_of(self, noun, thing, until, some=False):
        """What is told of work as its reason to wait, until then and, if that is asked for, until there is some."""
        told = set()

        def over():
            waiting = self.service.get(noun, thing['id'])['progress'].get('waiting')
            told.update([waiting] if waiting else [])
            return time.monotonic() > until and (told or not some)
        wait('the end of the trouble', over, 150, 2)
        return told

    def outlived(self, began, what):
        """Work that went on with tokens that it did not begin with."""
        lasted = time.monotonic() - began
        self.claim('%s took %d s, longer than a token lives' % (what, lasted), lasted > TOKEN_SECONDS)

    def short_quota(self, backup):
        """The target has room for one volume less than the instance has."""
        call = self.dr.admin.call
        path = '/os-quota-sets/' + self.dr.project
        used = call('volume', 'GET', path + '?usage=true')['quota_set']['volumes']
        call('volume', 'PUT', path, {'quota_set': {
            'volumes': used['in_use'] + used['reserved'] + len(self.instance.volumes) - 1}})
        before = self.dr.listing()
        try:
            code, words = self.service.refusal('restoration', 'create', backup['id'], *self.to_dr)
        finally:
            call('volume', 'PUT', path, {'quota_set': {'volumes': used['limit']}})
        self.claim('a quota that is one volume short ends a restoration: %s' % words.strip(),
                   code != 0 and 'QUOTA_SHORT' in words and 'volumes' in words)
        self.claim('and nothing was made for it', strange(before, self.dr.listing()) == [])

    def no_host(self, backup, then):
        """Nova finds no hypervisor when all bytes are restored, and one a little later."""
        with self.disabled('nova-compute'):
            restoration = self.service.restore(backup['id'], self.dr, wait_for_end=False)
            wait('a server that found no host', lambda: 'No valid host' in self.service.get(
                'restoration', restoration['id'])['runtimeState'], 180)
        restoration = self.service.until_rest('restoration', restoration['id'])
        self.claim('Nova found no host for a server, and one later: the restoration is OK',
                   restoration['state'] == 'STATE_OK')
        there = self.bytes_of(restoration, self.dr)
        self.claim('what was backed up while cinder-api stood still comes back with its bytes', there == then)

    @contextlib.contextmanager
    def disabled(self, binary):
        """Services of the target's Nova to which it gives no work."""
        call = self.dr.admin.call
        services = call('compute', 'GET', '/os-services?binary=' + binary)['services']
        for one in services:
            call('compute', 'PUT', '/os-services/' + one['id'], {'status': 'disabled'})
        try:
            yield
        finally:
            for one in services:
                call('compute', 'PUT', '/os-services/' + one['id'], {'status': 'enabled'})

    def no_export(self):
        """Nobody whom a service knows in the source may export a record."""
        before = self.source.listing()
        directory = os.path.join(self.service.directory, 'no-admins')
        os.mkdir(directory)
        service = Service(self.service.binary, directory, self.service.clouds_file, self.service.sites)
        service.admins = False
        service.start()
        try:
            code, words = service.refusal('backup', 'create', self.instance.server, '--cloud',
                                          self.source.name, '--tenant', self.source.project)
        finally:
            service.stop()
        self.claim('without the right to export a DR backup ends, and says so: %s' % words.strip(),
                   code != 0 and 'export' in words)
        self.claim('and nothing is left of it', strange(before, self.source.listing()) == [])

    # -- at the end ----------------------------------------------------------

    def delete_all(self):
        """Everything that the service knows."""
        for one in self.service.ask('restoration', 'list'):
            self.service.ask('restoration', 'delete', one['id'], *(
                ['--instance'] if one['state'] == 'STATE_OK' else []))
        for one in self.service.ask('backup', 'list'):
            self.service.ask('backup', 'delete', one['id'])


def at_once(*works):
    """What they give, when all have ended."""
    with concurrent.futures.ThreadPoolExecutor(len(works)) as pool:
        return [one.result() for one in [pool.submit(work) for work in works]]


def main(given):
    """Makes all claims; 0 if all hold."""
    with ground(given) as here:
        at_once(*(functools.partial(here.lab.token_life, site.name, TOKEN_SECONDS) for site in here.sites))
        say('Keystone gives tokens of %d seconds in both clouds' % TOKEN_SECONDS)
        instance = here.fleet.build_three()
        say('an instance with 3 volumes is there')
        fixtures = {site.name: site.listing() for site in here.sites}
        here.service.environment['DRBACKUP_PATIENCE__STUCK_AFTER'] = PATIENCE
        here.service.environment['DRBACKUP_PATIENCE__PAUSE'] = PAUSE
        here.service.start()
        troubles = Troubles(here.lab, here.service, *here.sites, instance)
        dropped = troubles.no_backup_service()
        (backup, then), _ = at_once(troubles.frozen_api, lambda: troubles.no_queue(dropped))
        troubles.short_quota(backup)
        at_once(troubles.no_export, lambda: troubles.no_host(backup, then))
        troubles.delete_all()
        for site in here.sites:
            left = strange(fixtures[site.name], site.listing())
            troubles.claim('%s is clean%s' % (site.name, ': %s' % left if left else ''), left == [])
            gone = strange(site.listing(), fixtures[site.name])
            troubles.claim('and nothing of others went there', gone == [])
    return 1 if troubles.failed else 0
