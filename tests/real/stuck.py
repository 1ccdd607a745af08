"""A restore that does not end, on real clouds: whoever gives it up has its record back."""

from claims import wait
from subject import Subject

# How long what must go may be busy here before it is freed.
PATIENCE = '30s'


class Stuck(Subject):
    """Claims about what holds a record."""

    def __init__(self, lab, *given):
        super().__init__(*given)
        self.lab = lab

    def all(self):
        """A restoration that is cancelled while Cinder restores, so slowly that it does not end."""
        self.service.stop()
        self.service.environment['DRBACKUP_PATIENCE__STUCK_AFTER'] = PATIENCE
        self.service.start()
        then = self.digests()
        backup = self.service.ask('backup', 'create', self.instance.server, '--cloud', self.source.name,
                                  '--tenant', self.source.project, seconds=300)
        records = [one['backupId'] for one in backup['volumeBackups']]
        place = (backup['id'], '--cloud', self.dr.name, '--tenant', self.dr.project)
        self.lab.delay(self.dr.name, 30)
        try:
            slow = self.service.ask('restoration', 'create', *place, '--no-wait')
            wait('a record that is being restored', lambda: 'restoring' in self.standing(records), 120)
            self.service.ask('restoration', 'cancel', slow['id'])
            ended = self.service.until_rest('restoration', slow['id'], seconds=300)
        finally:
            self.lab.delay(self.dr.name, 0)
        self.claim('a restoration that is cancelled while Cinder restores ends', ended['state'] == 'STATE_ERRED')
        self.claim('leaving nothing: %s' % ended['error']['message'], 'left behind' not in ended['error']['message'])
        self.claim('and its records are free', set(self.standing(records)) == {'available'})
        there = self.restored(*place, site=self.dr)
        self.claim('so that the next one gets its bytes', there == then)
        self.service.ask('restoration', 'delete', slow['id'])
        self.service.ask('backup', 'delete', backup['id'], seconds=300)

    def standing(self, records):
        """The statuses of those records that are there."""
        seen = [self.dr.tenant.get('backup', one) for one in records]
        return [one['status'] for one in seen if one]
