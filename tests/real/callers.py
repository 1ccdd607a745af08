"""Who may do what, on real clouds: callers with tokens of real Keystones, of two projects and several roles, a token
that is revoked under a stream, and the day on which the source's Keystone does not answer; and who the service is
there, see privilege.py."""

import copy
import os
import subprocess
import time

from claims import say
from cloud import View
from ground import ground
from privilege import Privilege
from subject import Subject

# How long the service takes for granted here what a Keystone said of a token.
CACHED = 5
CONFIGURATION = '''
[auth]
keystones = ["dr", "source"]
cached = "%ds"
refused_cached = "1s"

[[auth.pairs]]
source = { cloud = "source", project = "%s" }
target = { cloud = "dr", project = "%s" }
'''


def token(view):
    """A token of somebody."""
    return view.sdk.session.get_token()


class Callers(Subject):
    """Claims about an instance of one volume; `others` are projects beside those of the tenants, by site."""

    def __init__(self, others, *given):
        super().__init__(*given)
        self.others = others

    def acting(self, shown, keystone=None):
        """The command line of somebody who shows this token."""
        theirs = copy.copy(self.service)
        theirs.environment = dict(self.service.environment)
        if shown:
            theirs.environment['DRBACKUP_TOKEN'] = shown
        if keystone:
            theirs.environment['DRBACKUP_KEYSTONE'] = keystone
        return theirs

    def refused(self, who, reason, *arguments):
        """Whether somebody is refused so."""
        code, _, words = who.run(*arguments, seconds=120)
        say('%s: %s' % (' '.join(arguments[:2]), words.strip()[:240]))
        return code != 0 and reason in words

    def roles(self, people):
        """The operator makes, the reader sees, the stranger and nobody do neither."""
        nobody, reader, operator, stranger = people
        make = ('backup', 'create', self.instance.server, '--cloud', self.source.name, '--tenant', self.source.project)
        self.claim('who shows no token is refused', self.refused(nobody, 'UNAUTHENTICATED', 'backup', 'list'))
        self.claim('so is who shows a forged one', self.refused(
            self.acting('gAAAAAB' + 'x' * 180), 'UNAUTHENTICATED', 'backup', 'list'))
        self.claim('a reader cannot make a backup', self.refused(reader, 'FORBIDDEN', *make))
        backup = operator.back_up(self.source, self.instance.server)
        self.claim('a member can', backup['state'] == 'STATE_OK')
        self.claim('the reader sees it', [one['id'] for one in reader.ask('backup', 'list')] == [backup['id']])
        self.claim('the member of another project sees nothing', stranger.ask('backup', 'list') == [])
        self.claim('and finds nothing by its id', self.refused(stranger, 'NOT_FOUND', 'backup', 'get', backup['id']))
        self.claim('nor makes a backup of an instance of others', self.refused(stranger, 'there is no tenant', *make))
        self.claim('nor restores from it', self.refused(
            stranger, 'NOT_FOUND', 'restoration', 'create', backup['id'], '--cloud', self.source.name,
            '--tenant', self.others['source']))
        self.claim('a member cannot restore into a tenant of others', self.refused(
            operator, 'TENANT_NOT_REACHED', 'restoration', 'create', backup['id'], '--cloud', self.dr.name,
            '--tenant', self.dr.project))
        self.claim('nor delete a backup', self.refused(operator, 'FORBIDDEN', 'backup', 'delete', backup['id']))
        return backup

    def revoked(self, backup):
        """A token that is revoked while its holder follows."""
        view = View('source-auditor')
        shown = token(view)
        reader = self.acting(shown)
        reader.get('backup', backup['id'])
        following = subprocess.Popen(
            [reader.binary, 'backup', 'watch', '--address', reader.address, '--output', 'json', '--quiet'],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=reader.environment)
        try:
            told = following.stdout.readline()
            self.claim('who follows is told what is there', backup['id'] in told)
            view.call('identity', 'DELETE', '/auth/tokens', headers={'X-Subject-Token': shown})
            began = time.monotonic()
            _, words = following.communicate(timeout=60)
            took = time.monotonic() - began
        finally:
            following.kill()
        self.claim('a revoked token ends the stream within the time that it is remembered: %.1f s, %s' % (
            took, words.strip()[-200:]), took < 2 * CACHED + 2 and 'UNAUTHENTICATED' in words)
        self.claim('and lets nobody in', self.refused(reader, 'UNAUTHENTICATED', 'backup', 'list'))

    def worst_day(self, lab, backup, late):
        """The source's Keystone stands still."""
        paired = self.acting(token(self.dr.tenant), 'dr')
        stranger = self.acting(token(View('dr-demo', self.others['dr'])), 'dr')
        with lab.freeze(self.source.name, 'keystone'):
            self.claim('a token that its Keystone cannot judge is not taken, and not called bad', self.refused(
                late, 'could not judge the token', 'backup', 'get', backup['id']))
            self.claim('a stranger of the target does not find it', self.refused(
                stranger, 'NOT_FOUND', 'restoration', 'create', backup['id'], '--cloud', self.dr.name,
                '--tenant', self.others['dr']))
            restoration = paired.restore(backup['id'], self.dr)
            self.claim('the paired tenant of the target restores it', restoration['state'] == 'STATE_OK')
            self.claim('and cannot delete it', self.refused(paired, 'FORBIDDEN', 'backup', 'delete', backup['id']))
        paired.ask('restoration', 'delete', restoration['id'], '--instance', seconds=300)


def main(given):
    """Makes all claims; 0 if all hold."""
    with ground(given) as here:
        built, source, dr = here.fleet, *here.sites
        one = built.build_single()
        say('an instance with a volume is there')
        path = os.path.join(here.service.directory, 'server.toml')
        with open(path, 'w') as file:
            file.write(CONFIGURATION % (CACHED, source.project, dr.project))
        here.service.environment['DRBACKUP_SERVER_CONFIG'] = path
        here.service.start()
        others = {site.name: site.make_project(built.mark + '-other') for site in here.sites}
        callers = Callers(others, here.service, source, dr, one)
        try:
            reader, operator = (callers.acting(token(View(entry))) for entry in ('source-auditor', 'source-demo'))
            stranger = callers.acting(token(View('source-demo', others['source'])))
            # Nobody has asked with it yet, so nothing is remembered of it.
            late = callers.acting(token(View('source-demo')), 'source')
            backup = callers.roles((callers.acting(None), reader, operator, stranger))
            callers.revoked(backup)
            callers.worst_day(here.lab, backup, late)
            admin = callers.acting(token(View('source-operator')))
            admin.ask('backup', 'delete', backup['id'], seconds=300)
            callers.claim('an admin of the project deletes it', callers.refused(
                admin, 'NOT_FOUND', 'backup', 'get', backup['id']))
        finally:
            for site in here.sites:
                site.admin.call('identity', 'DELETE', '/projects/' + others[site.name], allow=(404,))
        here.service.stop()
        del here.service.environment['DRBACKUP_SERVER_CONFIG']
        privilege = Privilege(built.mark, here.service, source, dr, one)
        privilege.admins_elsewhere()
        privilege.members(here.lab)
    return 1 if callers.failed or privilege.failed else 0
