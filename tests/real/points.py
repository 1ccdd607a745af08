"""A schedule that makes a chain, restored from its middle and its end; a regular backup; beside these, the
levels of consistency; and what is stuck: on real clouds."""

import concurrent.futures
import os
import tempfile

import fleet
import levels
import stuck
from claims import say, wait
from cloud import Site
from lab import Lab
from service import Service
from subject import Subject
from sweep import sweep


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
    """Makes all claims; 0 if all hold and both clouds are as before."""
    state = os.environ.get('OPENSTACK_LAB', '/var/tmp/openstack-lab')
    lab = Lab(given.lab_scripts, state)
    sites = [Site('source', given.source, given.source_admin, os.path.join(state, 'source')),
             Site('dr', given.dr, given.dr_admin, os.path.join(state, 'dr'))]
    built = fleet.Fleet(sites[0], fleet.new_mark())
    before = {site.name: site.listing() for site in sites}
    points = None
    with tempfile.TemporaryDirectory(prefix='drbackup-real-') as directory:
        service = Service(given.binary, directory, given.clouds_file, sites)
        try:
            for site in sites:
                site.raise_quotas()
            built.networks['net'] = fleet.make_network(built.view, built.mark + '-net', '10.77.0.0/24')
            fleet.make_network(sites[1].tenant, built.mark + '-net', '10.77.0.0/24')
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
            points.failed += others.failed
            held = stuck.Stuck(lab, service, *sites, three)
            held.all()
            points.failed += held.failed
        finally:
            service.stop()
            lab.make_well()
            for site in sites:
                sweep(site, before[site.name], built.mark)
                site.put_back_quotas()
    return 1 if points is None or points.failed else 0
