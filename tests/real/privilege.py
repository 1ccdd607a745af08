"""Least privilege on real clouds: at what the admin entry is seen, by the logs of the clouds, and that none is needed
where a policy lets members export and import records."""

import re

from claims import say
from cloud import View
from requests_seen import Requests
from subject import Subject

# What docs/callers.md says; asking for its token and for microversions is not in these logs, or is no use.
ALLOWED = (
    ('cinder-api', 'GET', r'/?'),
    ('nova-api', 'GET', r'/?'),
    ('cinder-api', 'GET', r'/backups/ID/export_record'),
    ('cinder-api', 'POST', r'/backups/import_record'),
    ('cinder-api', 'GET', r'/(backups|volumes|snapshots|group_snapshots)(/ID|/detail)?'),
    ('cinder-api', 'POST', r'/(backups|volumes|snapshots|group_snapshots)/ID/action'),
    ('cinder-api', 'GET', r'/(attachments|volume-transfers|os-volume-transfer)'),
    ('cinder-api', 'GET', r'/os-quota-sets/ID'),
    ('cinder-api', 'POST', r'/backups/ID/restore'),
    ('cinder-api', 'DELETE', r'/backups/ID'),
    ('cinder-api', 'GET', r'/(groups|group_types)/ID'),
    ('cinder-api', 'GET', r'/scheduler-stats/get_pools'),
    ('nova-api', 'GET', r'/servers(/ID|/detail)'),
    ('nova-api', 'GET', r'/os-keypairs/NAME'),
)
# The rules of Cinder, and what they let members do.
RULES = ('backup:export-import', 'backup:backup-import')


def is_allowed(service, method, path):
    """Whether the admin entry may be seen at it."""
    return any(one == service and verb == method and re.fullmatch(pattern, path) for one, verb, pattern in ALLOWED)


class Privilege(Subject):
    """Claims about an instance of one volume; `mark` is in the names of what is made beside."""

    def __init__(self, mark, *given):
        super().__init__(*given)
        self.mark = mark

    def life(self):
        """A DR backup, its restoration, and the end of both; the states."""
        backup = self.service.back_up(self.source, self.instance.server)
        restoration = self.service.restore(backup['id'], self.dr)
        same = self.bytes_of(restoration, self.dr) == self.digests()
        return backup['id'], backup['state'] == 'STATE_OK' and restoration['state'] == 'STATE_OK' and same

    def admins_elsewhere(self):
        """The admin stands in a project of its own, and the clouds tell what it did."""
        self.service.other_admins = {site.name: site.name + '-admin' for site in (self.source, self.dr)}
        views = [View(self.service.other_admins[site.name]) for site in (self.source, self.dr)]
        self.service.start()
        watched = [Requests(site, view.sdk.current_user_id) for site, view in zip((self.source, self.dr), views)]
        backup, well = self.life()
        self.claim('with an admin of another project an instance comes back', well)
        self.service.ask('backup', 'delete', backup, seconds=300)
        seen = set().union(*(one.seen() for one in watched))
        for one in sorted(seen):
            say('the admin was seen at %s %s %s' % one)
        for needed in (('cinder-api', 'GET', '/backups/ID/export_record'),
                       ('cinder-api', 'POST', '/backups/import_record')):
            self.claim('the admin is seen at %s %s %s' % needed, needed in seen)
        others = sorted(one for one in seen if not is_allowed(*one))
        self.claim('and at nothing that it is not for: %s' % others, not others)
        self.service.stop()

    def members(self, lab):
        """No admin at all, with and without the right."""
        self.service.admins = False
        self.service.start()
        code, _, words = self.service.run('backup', 'create', self.instance.server, '--cloud', self.source.name,
                                          '--tenant', self.source.project, seconds=300)
        say(words.strip()[:300])
        self.claim('a member that may not export is told so before anything is made',
                   code != 0 and 'EXPORT_FORBIDDEN' in words)
        self.claim('and no volume backup is there', not [
            one for one in self.source.tenant.list('backup', 'limit=1000')
            if one['volume_id'] in self.instance.volumes])
        self.service.stop()
        volume = self.source.tenant.call('volume', 'POST', '/volumes', {'volume': {
            'size': 1, 'name': self.mark + ' witness'}})['volume']['id']
        self.source.tenant.until('volume', volume, 'available')
        witness = self.source.tenant.call('volume', 'POST', '/backups', {'backup': {
            'volume_id': volume, 'name': self.mark + ' witness'}})['backup']['id']
        self.source.tenant.until('backup', witness, 'available')
        with lab.policy('source', 'cinder', *RULES), lab.policy('dr', 'cinder', *RULES):
            self.service.start()
            backup, well = self.life()
            self.claim('members who may export and import need no admin', well)
            self.service.ask('backup', 'delete', backup, seconds=300)
            self.service.stop()
        self.service.admins = True
