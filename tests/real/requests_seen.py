"""What the services of the laboratory wrote into their logs about the requests of one user."""

import os
import re

LOGS = ('cinder-api', 'nova-api', 'neutron-server', 'glance-api')
ID = re.compile(r'[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}')
REQUEST = re.compile(r'"?(GET|POST|PUT|PATCH|DELETE|HEAD) (?:http://[^/ ]+)?(/[^ ?"\x1b\n]*)')

# What another service asks on the user's behalf, as Nova asks Neutron about the ports of a server that is shown: it
# tells the id of the request that it works for. Ours are of version 7, those of the services of version 4.
ON_BEHALF = re.compile(r'\[req-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f-]+ req-')


class Requests:
    """The requests since now."""

    def __init__(self, site, user):
        self.site = site
        self.user = user
        self.begin = {name: self._size(name) for name in LOGS}

    def _path(self, name):
        return os.path.join(self.site.state, 'log', name + '.log')

    def _size(self, name):
        try:
            return os.path.getsize(self._path(name))
        except FileNotFoundError:
            return 0

    def seen(self):
        """Service, method and path without version, project and ids, each once."""
        found = set()
        for name, begin in self.begin.items():
            if not os.path.exists(self._path(name)):
                continue
            with open(self._path(name), errors='replace') as log:
                log.seek(begin)
                for line in log:
                    request = REQUEST.search(line)
                    if self.user in line and request and not ON_BEHALF.search(line):
                        found.add((name, request.group(1), _template(request.group(2))))
        return found


def _template(path):
    path = re.sub(r'^/(v\d(\.\d+)?)(/%s)?(?=/|$)' % ID.pattern, '', path)
    path = ID.sub('ID', path)
    return re.sub(r'^/os-keypairs/.+$', '/os-keypairs/NAME', path) or '/'
