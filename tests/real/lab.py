"""The laboratory's switches: services ended and started, backups slowed down."""

import concurrent.futures
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

    def switch_on(self, site):
        """Everything again, through its own `up`, which starts what is missing and waits."""
        done = subprocess.run([os.path.join(self.scripts, 'up'), site], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        if done.returncode:
            raise RuntimeError('up %s: %s' % (site, done.stdout.strip()[-500:]))
        self.dark.discard(site)

    def make_well(self):
        """Undoes whatever is still broken."""
        for site in list(self.slow):
            self.delay(site, 0)
        for site in list(self.dark):
            self.switch_on(site)
