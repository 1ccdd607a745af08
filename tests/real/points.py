"""A schedule that makes a chain, restored from its middle and its end; a regular backup; beside these, the
levels of consistency; and what is stuck: on real clouds."""

import concurrent.futures

import levels
import stuck
from claims import say, wait
from ground import ground
from subject import Subject


class Points(Subject):
    """A schedule that makes a chain, and a regular backup."""

    def schedule(self):
        """A full one and two increments, each after new bytes; then the middle and the newest elsewhere."""
        place = ('--cloud', self.source.name, '--tenant', self.source.project)
        schedule = self.service.ask('schedule', 'create', self.instance.server, *place, '--schedule', '@yearly',
                                    '--full-every', '3', '--keep-last', '3')
        made, bytes_then = [], []
        for number in range(3):
            if number:
                self.write(200 + 10 * number)
            bytes_then.append(self.digests())
            run = self.service.ask('schedule', 'run', schedule['id'])
            backup = self.service.until_rest('backup', run['drBackupId'], seconds=300)
            made.append(backup)
            self.claim('run %d of the schedule made a DR backup that is OK' % (number + 1),
                       backup['state'] == 'STATE_OK')
            wait('the end of the run', lambda: self.service.ask(
                'schedule', 'runs', schedule['id'])[0]['outcome'] == 'OUTCOME_SUCCEEDED' or None, 60)
        heads = [[one for one in backup['volumeBackups'] if not one.get('inherited')] for backup in made]
        self.claim('the first is full and the others are increments',
                   [any(one.get('incremental') for one in own) for own in heads] == [False, True, True])
        self.claim('each holds its whole chain',
                   [len(backup['volumeBackups']) for backup in made]
                   == [(number + 1) * len(self.instance.volumes) for number in range(3)])
        for number, word in ((1, 'middle'), (2, 'newest')):
            there = self.restored(made[number]['id'], '--cloud', self.dr.name, '--tenant', self.dr.project,
                                  site=self.dr)
            self.claim('the %s one comes back in the other cloud with its bytes' % word,
                       there == bytes_then[number])
        code, words = self.service.refusal('backup', 'delete', made[0]['id'])
        self.claim('a parent is not deleted before its children: ' + words.strip()[:80], code != 0)
        for backup in reversed(made):
            self.service.ask('backup', 'delete', backup['id'], seconds=300)
        self.claim('the chain goes from its newest end', True)
        self.service.ask('schedule', 'delete', schedule['id'])

    def regular(self):
        """Snapshots in the tenant of the instance, and back from them."""
        place = ('--cloud', self.source.name, '--tenant', self.source.project)
        then = self.digests()
        backup = self.service.ask('regular-backup', 'create', self.instance.server, *place, seconds=300)
        self.claim('a regular backup is OK', backup['state'] == 'STATE_OK')
        self.write(400)
        there = self.restored(backup['id'], site=self.source)
        self.claim('it comes back in its tenant with its bytes', there == then)
        self.service.ask('regular-backup', 'delete', backup['id'], seconds=300)
        self.claim('it is deleted', True)


def main(given):
    """Makes all claims; 0 if all hold."""
    with ground(given) as here:
        service, sites, built = here.service, here.sites, here.fleet
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            three, still = [one.result() for one in (
                pool.submit(built.build_three), pool.submit(levels.build, built))]
        say('instances with 3 volumes, and with 2 whose guest has to hold still, are there')
        service.start()
        points = Points(service, *sites, three)
        others = levels.Levels(service, *sites, still, built.mark)
        others.not_still(three)
        aside = concurrent.futures.ThreadPoolExecutor(1)
        rest = aside.submit(others.all)
        # Not waited for if this one ends early: without a service it ends by itself.
        aside.shutdown(wait=False)
        points.schedule()
        points.regular()
        rest.result()
        held = stuck.Stuck(here.lab, service, *sites, three)
        held.all()
    return 1 if points.failed or others.failed or held.failed else 0
