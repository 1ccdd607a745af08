"""The laboratory's switches: services ended and started, backups slowed down."""

import concurrent.futures
import contextlib
import os
import subprocess

# What a dead cloud does not have any more.
VICTIMS = ('cinder-api', 'cinder-volume', 'cinder-scheduler', 'cinder-backup', 'nova-api', 'neutron-server')
FROZEN = 'keystone'


class Lab:
    """The two deployments of the laboratory."""

    def __init__(self, scripts, state):
        self.scripts = scripts
        self.state = state
        self.slow = set()
        self.dark = set()
        self.frozen = set()
        self.short_lived = set()

    def fault(self, *arguments, seconds=120):
        """One call of its `fault` script."""
        done = subprocess.run([os.path.join(self.scripts, 'fault'), *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds)
        if done.returncode:
            raise RuntimeError('fault %s: %s' % (' '.join(arguments), done.stdout.strip()))

    def delay(self, site, seconds):
        """Slows backups and restores down: so many seconds before each 50 MiB; 0 ends it."""
        (self.slow.add if seconds else self.slow.discard)(site)
        self.fault('delay', site, str(seconds) if seconds else 'off')

    def switch_off(self, site):
        """Keystone hangs, the others are gone: both ways in which a dead cloud does not answer."""
        self.dark.add(site)
        self.fault('stop', site, FROZEN)
        with concurrent.futures.ThreadPoolExecutor(len(VICTIMS)) as pool:
            list(pool.map(lambda name: self.fault('term', site, name), VICTIMS))

    @contextlib.contextmanager
    def freeze(self, site, service):
        """A service that stands still: whoever calls it hangs."""
        self.frozen.add((site, service))
        self.fault('stop', site, service)
        try:
            yield
        finally:
            self.thaw(site, service)

    def thaw(self, site, service):
        """It goes on where it stood."""
        self.fault('cont', site, service)
        self.frozen.discard((site, service))

    @contextlib.contextmanager
    def without(self, site, service, how='term'):
        """A service that is gone: ended in an orderly way, or by a `kill`."""
        self.dark.add(site)
        self.fault(how, site, service)
        yield
        self.fault('start', site, service)
        self.dark.discard(site)

    @contextlib.contextmanager
    def policy(self, site, service, *rules):
        """Rules of a policy that are open to members for a while."""
        try:
            for rule in rules:
                self.fault('policy', site, service, rule, 'rule:admin_or_owner')
            yield
        finally:
            for rule in rules:
                self.fault('policy', site, service, rule, 'default')

    def token_life(self, site, seconds=None):
        """From now on Keystone gives tokens that live so long, or as long as by default."""
        self.dark.add(site)
        self.fault('term', site, FROZEN)
        # `up` writes the configuration anew and starts what is missing.
        self.switch_on(site, {'OPENSTACK_LAB_TOKEN_SECONDS': str(seconds)} if seconds else {})
        if seconds:
            self.short_lived.add(site)
        else:
            self.short_lived.discard(site)

    def switch_on(self, site, more=None):
        """Everything again, through its own `up`, which starts what is missing and waits."""
        done = subprocess.run([os.path.join(self.scripts, 'up'), site], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
                              env={**os.environ, **(more or {})})
        if done.returncode:
            raise RuntimeError('up %s: %s' % (site, done.stdout.strip()[-500:]))
        self.dark.discard(site)

    def make_well(self):
        """Undoes whatever is still broken."""
        for site in list(self.slow):
            self.delay(site, 0)
        for one in list(self.frozen):
            self.thaw(*one)
        for site in list(self.dark):
            self.switch_on(site)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(self.token_life, list(self.short_lived)))
