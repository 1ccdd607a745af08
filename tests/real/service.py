"""The service under test and its command line, as separate processes."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
import uuid

from claims import wait

REST = ('STATE_OK', 'STATE_ERRED', 'STATE_DELETED')


class CliError(Exception):
    """A command that did not end as it should."""

    def __init__(self, arguments, code, stderr):
        super().__init__('drbackup %s: exit code %s: %s' % (' '.join(arguments)[:200], code, stderr.strip()))
        self.code = code
        self.stderr = stderr


class Service:
    """`drbackup serve` on a free port of loopback with a database of its own."""

    def __init__(self, binary, directory, clouds_file, sites):
        self.binary = binary
        self.directory = directory
        self.clouds_file = clouds_file
        self.sites = sites
        self.process = None
        # Whether it knows the entries that have the admin role; others of them, by site, in place of the usual.
        self.admins = True
        self.other_admins = {}
        self.port = _free_port()
        self.log = os.path.join(directory, 'service.log')
        self.address = 'http://127.0.0.1:%d' % self.port
        # Settings of whoever runs this must not change what is shown.
        self.commands = set()
        self.lock = threading.Lock()
        self.environment = {key: value for key, value in os.environ.items()
                            if not key.startswith(('DRBACKUP_', 'OS_'))}

    def start(self, seconds=60):
        """Starts it and waits until it takes calls."""
        command = [self.binary, 'serve', '--listen', '127.0.0.1:%d' % self.port,
                   '--database', 'sqlite:' + os.path.join(self.directory, 'drbackup.sqlite'),
                   '--clouds-file', self.clouds_file, '--log', 'info,drbackup=debug']
        for site in self.sites:
            command += ['--cloud', '%s=%s' % (site.name, site.entry)]
            admin = self.other_admins.get(site.name, site.admin_entry)
            if self.admins and admin:
                command += ['--admin', '%s=%s' % (site.name, admin)]
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment, start_new_session=True)

        def answers():
            if self.process.poll() is not None:
                raise RuntimeError('the service ended with %s: %s' % (
                    self.process.returncode, self.tail()))
            try:
                socket.create_connection(('127.0.0.1', self.port), 1).close()
                return True
            except OSError:
                return False
        wait('the service', answers, seconds, 0.1)

    def kill(self):
        """What a power cut does to it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self):
        """An orderly end; the exit code."""
        if not self.process or self.process.poll() is not None:
            return self.process and self.process.returncode
        self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def tail(self, lines=15):
        """The last words of its log."""
        with open(self.log, errors='replace') as log:
            return '\n'.join(log.read().splitlines()[-lines:])

    def memory(self):
        """Its resident memory in MiB."""
        with open('/proc/%d/status' % self.process.pid) as status:
            line = next(line for line in status if line.startswith('VmRSS:'))
        return int(line.split()[1]) / 1024

    # -- the command line ---------------------------------------------------

    def run(self, *arguments, seconds=600):
        """Exit code, standard output, standard error of a command."""
        command = [self.binary, *arguments, '--address', self.address, '--output', 'json', '--quiet']
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=self.environment)
        with self.lock:
            self.commands.add(running)
        try:
            stdout, stderr = running.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            running.kill()
            _, stderr = running.communicate()
            raise TimeoutError('drbackup %s: no end within %d s: %s' % (
                ' '.join(arguments)[:200], seconds, stderr.strip())) from None
        finally:
            with self.lock:
                self.commands.discard(running)
        return running.returncode, stdout, stderr

    def break_off(self):
        """Ends the commands that still wait for something."""
        with self.lock:
            for running in self.commands:
                running.kill()

    def ask(self, *arguments, seconds=300, code=0):
        """The answer of a command that has to end with this code."""
        ended, stdout, stderr = self.run(*arguments, seconds=seconds)
        if ended != code:
            raise CliError(arguments, ended, stderr)
        return json.loads(stdout) if stdout.strip() else None

    def refusal(self, *arguments, seconds=120):
        """Exit code and words of a command that has to fail."""
        code, _, stderr = self.run(*arguments, seconds=seconds)
        return code, stderr

    # -- resources ----------------------------------------------------------

    def get(self, noun, identifier):
        """A DR backup or restoration as it is now."""
        return self.ask(noun, 'get', identifier, seconds=60)

    def until_rest(self, noun, identifier, seconds=300):
        """Waits until nothing happens to it any more; it as it is then."""
        def probe():
            thing = self.get(noun, identifier)
            return thing if thing['state'] in REST else None
        return wait('the end of %s %s' % (noun, identifier), probe, seconds)

    def back_up(self, site, instance, *more, wait_for_end=True, seconds=600):
        """Makes a DR backup."""
        return self.ask('backup', 'create', instance, '--cloud', site.name, '--tenant', site.project,
                        *([] if wait_for_end else ['--no-wait']), *more, seconds=seconds)

    def restore(self, backup, site, *more, tenant=None, wait_for_end=True, seconds=600):
        """Makes a restoration."""
        return self.ask('restoration', 'create', backup, '--cloud', site.name, '--tenant',
                        tenant or site.project, *([] if wait_for_end else ['--no-wait']), *more,
                        seconds=seconds)


def _free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def new_word():
    """A request id."""
    return uuid.uuid4().hex


def timed(call, *arguments, **named):
    """The answer of a call and the seconds that it took."""
    begin = time.monotonic()
    return call(*arguments, **named), time.monotonic() - begin
