"""Seconds and calls for one backup and one restoration, beside a careful script on the same clouds."""

import collections
import http.client
import http.server
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import fleet
import portrait
from claims import say
from cloud import Site
from lab import Lab
from service import Service
from sweep import sweep

HOPS = ('connection', 'keep-alive', 'transfer-encoding', 'content-length', 'host', 'accept-encoding')
READS = ('GET', 'HEAD')


class Counter:
    """Stands between a client and the services of clouds, and counts every call by its method.

    Each service has a port here. Its own address is replaced in what it answers, so that a client that
    follows the catalogue of Keystone comes here with every call.
    """

    def __init__(self):
        self.calls = collections.Counter()
        # The same by method and path, for whoever wants to know which calls they are.
        self.kinds = collections.Counter()
        self.lock = threading.Lock()
        self.gates = {}
        self.servers = []

    def gate(self, base):
        """The address that stands for `base` (http://HOST:PORT)."""
        if base not in self.gates:
            counter, upstream = self, urllib.parse.urlsplit(base)

            class Handler(http.server.BaseHTTPRequestHandler):
                protocol_version = 'HTTP/1.1'

                def serve(self):
                    counter.serve(self, upstream)

                do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = serve

                def log_message(self, *_):
                    pass
            server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.servers.append(server)
            self.gates[base] = 'http://127.0.0.1:%d' % server.server_address[1]
        return self.gates[base]

    def serve(self, handler, upstream):
        """Passes one call on."""
        login = handler.path.rstrip('/').endswith('/auth/tokens')
        path = re.sub(r'[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}', 'ID', handler.path.split('?')[0])
        with self.lock:
            self.calls['login' if login else 'read' if handler.command in READS else 'write'] += 1
            self.kinds[handler.command, path] += 1
        body = handler.rfile.read(int(handler.headers.get('Content-Length') or 0))
        headers = {key: value for key, value in handler.headers.items() if key.lower() not in HOPS}
        connection = http.client.HTTPConnection(upstream.hostname, upstream.port, timeout=120)
        try:
            connection.request(handler.command, handler.path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
        except OSError:
            handler.close_connection = True
            return
        finally:
            connection.close()
        if 'json' in (answer.getheader('Content-Type') or ''):
            for base, gate in list(self.gates.items()):
                content = content.replace(base.encode(), gate.encode())
        handler.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in HOPS + ('server', 'date'):
                handler.send_header(key, value)
        handler.send_header('Content-Length', str(len(content)))
        handler.end_headers()
        if handler.command != 'HEAD':
            handler.wfile.write(content)

    def take(self):
        """The counts since the last time."""
        with self.lock:
            calls, self.calls = self.calls, collections.Counter()
            kinds, self.kinds = self.kinds, collections.Counter()
        return calls, kinds

    def close(self):
        for server in self.servers:
            server.shutdown()


def counted_clouds(counter, sites, path):
    """A clouds.yaml whose entries lead through the counter."""
    import yaml
    clouds = {}
    for site in sites:
        for view in (site.tenant, site.admin):
            if view is None:
                continue
            entry = view.sdk.config.config
            for service in view.sdk.service_catalog:
                for endpoint in service['endpoints']:
                    parts = urllib.parse.urlsplit(endpoint['url'])
                    counter.gate('%s://%s' % (parts.scheme, parts.netloc))
            auth = dict(entry['auth'])
            parts = urllib.parse.urlsplit(auth['auth_url'])
            auth['auth_url'] = counter.gate('%s://%s' % (parts.scheme, parts.netloc)) + parts.path
            clouds[view.entry] = {'auth': auth, 'region_name': entry['region_name']}
    with open(path, 'w') as stream:
        os.chmod(path, 0o600)
        yaml.safe_dump({'clouds': clouds}, stream)


def measure(given, sites, directory, instance):
    """Our own figures: (label, seconds, reads, writes, logins) each, and words about the service."""
    source, dr = sites
    counter = Counter()
    clouds = os.path.join(directory, 'counted.yaml')
    counted_clouds(counter, sites, clouds)
    service = Service(given.binary, directory, clouds, sites)
    rows, words = [], []
    try:
        ready = time.monotonic()
        service.start()
        words.append('ready after %.1f s' % (time.monotonic() - ready))
        # The script has logged in and looked around before its clock starts; so do we.
        for site in sites:
            service.ask('cloud', 'instances', '--cloud', site.name, '--tenant', site.project)
        time.sleep(3)
        words.append('%.0f MiB resident when idle' % service.memory())
        counter.take()
        time.sleep(5)
        words.append('%d calls in 5 idle seconds' % sum(counter.take()[0].values()))
        begin = time.monotonic()
        backup = service.back_up(source, instance.server)
        rows.append(row('drbackup: back up 1 x 3', begin, counter))
        begin = time.monotonic()
        restoration = service.restore(backup['id'], dr)
        rows.append(row('drbackup: restore 1 x 3', begin, counter))
        restored = portrait.take(dr, restoration['instance']['serverId'])
        words.append('%.0f MiB resident after the work' % service.memory())
        if dr.state:
            from content import digest, path_of
            same = [digest(path_of(dr, one)) for one in restored['volume ids']] == instance.digests
            words.append('bytes equal' if same else 'BYTES DIFFER')
        begin = time.monotonic()
        service.ask('restoration', 'delete', restoration['id'], '--instance')
        rows.append(row('drbackup: delete the restoration', begin, counter))
        begin = time.monotonic()
        service.ask('backup', 'delete', backup['id'])
        rows.append(row('drbackup: delete the DR backup', begin, counter))
    finally:
        service.stop()
        counter.close()
    words.append('binary of %.0f MiB (%s)' % (
        os.path.getsize(given.binary) / 1024 ** 2, os.path.basename(os.path.dirname(given.binary))))
    return rows, words


def row(label, begin, counter):
    """A line of the table."""
    seconds = time.monotonic() - begin
    calls, kinds = counter.take()
    if os.environ.get('JOURNEY_CALLS'):
        print('\n' + label)
        for (method, path), count in sorted(kinds.items(), key=lambda item: item[0][::-1]):
            print('%4d %-6s %s' % (count, method, path))
    return label, seconds, calls['read'], calls['write'], calls['login']


def baseline(given):
    """The figures of the careful script, from its own output."""
    script = os.path.join(given.lab_scripts, '..', 'compare', 'sdk_baseline.py')
    if not os.path.exists(script):
        return [], 'the careful script is not there: %s' % script
    done = subprocess.run([sys.executable, script, '1', '3'], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600,
                          env={**os.environ, 'OS_CLIENT_CONFIG_FILE': given.clouds_file})
    pattern = r'^(back up|restore) (\d+ x \d+)\s+([\d.]+) s\s+reads\s+(\d+)\s+writes\s+(\d+)'
    rows = [('script: %s %s' % (what, size), float(seconds), int(reads), int(writes), None)
            for what, size, seconds, reads, writes in re.findall(pattern, done.stdout, re.M)]
    return rows, 'bytes equal' if 'bytes equal' in done.stdout else done.stdout.strip()[-500:]


def main(given):
    """Prints the table; 0 if both went to their end with equal bytes."""
    state = os.environ.get('OPENSTACK_LAB', '/var/tmp/openstack-lab')
    lab = None if given.foreign else Lab(given.lab_scripts, state)
    sites = [Site('source', given.source, given.source_admin, lab and os.path.join(state, 'source')),
             Site('dr', given.dr, given.dr_admin, lab and os.path.join(state, 'dr'))]
    built = fleet.Fleet(sites[0], fleet.new_mark())
    before = {site.name: site.listing() for site in sites}
    well = False
    with tempfile.TemporaryDirectory(prefix='drbackup-real-') as directory:
        try:
            for site in sites:
                site.raise_quotas()
            built.networks['net'] = fleet.make_network(built.view, built.mark + '-net', '10.77.0.0/24')
            fleet.make_network(sites[1].tenant, built.mark + '-net', '10.77.0.0/24')
            instance = built.build_three()
            say('an instance with 3 volumes is there')
            rows, words = measure(given, sites, directory, instance)
            say('the service is measured')
            theirs, remark = baseline(given) if lab else ([], 'it needs the laboratory')
            well = 'BYTES DIFFER' not in words and (not lab or remark == 'bytes equal')
            print('\n%-34s %8s %7s %7s %7s' % ('', 'seconds', 'reads', 'writes', 'logins'))
            for label, seconds, reads, writes, logins in rows + theirs:
                print('%-34s %8.1f %7d %7d %7s' % (
                    label, seconds, reads, writes, '' if logins is None else logins))
            print('\ndrbackup: %s.\nscript: %s; its logins are within its writes.' % (', '.join(words), remark))
        finally:
            for site in sites:
                for mark in (built.mark, 'base-'):
                    sweep(site, before[site.name], mark)
                site.put_back_quotas()
    return 0 if well else 1
